#include "services/eval/line_plot.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lastro::services::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LinePlot, DrawsPointsOnItsAxesAndEscapesTexts) {
  const std::string svg = RenderSvg({"a < b & c", "x", "y", 10, 1, {{"<script>", {{0, 0}, {5, 0.5}, {20, 2}}}}});
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; c"));
  EXPECT_THAT(svg, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  // From the origin over the middle to the upper right corner, where a point outside ends.
  EXPECT_THAT(svg, HasSubstr("d=\"M64.0 364.0L340.0 202.0L616.0 40.0\""));
}

}  // namespace
}  // namespace lastro::services::eval
