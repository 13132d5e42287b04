#include "services/eval/line_plot.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace lastro::services::eval {
namespace {

constexpr double kWidth = 640, kHeight = 420;
constexpr double kLeft = 64, kRight = 616, kTop = 40, kBottom = 364;
constexpr int kTicks = 5;
// Told apart by people who see few colours (Okabe and Ito 2008).
constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};

std::string Escape(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

double X(const LinePlot& plot, double x) { return kLeft + (kRight - kLeft) * std::clamp(x / plot.x_max, 0.0, 1.0); }
double Y(const LinePlot& plot, double y) { return kBottom - (kBottom - kTop) * std::clamp(y / plot.y_max, 0.0, 1.0); }

void AddText(double x, double y, const char* anchor, const std::string& text, std::string* svg) {
  absl::StrAppendFormat(svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, Escape(text));
}

void AddAxes(const LinePlot& plot, std::string* svg) {
  for (int i = 0; i <= kTicks; ++i) {
    const double share = static_cast<double>(i) / kTicks;
    const double x = X(plot, share * plot.x_max), y = Y(plot, share * plot.y_max);
    absl::StrAppendFormat(svg, "<path d=\"M%.1f %.1fV%.1fM%.1f %.1fH%.1f\" stroke=\"#ddd\"/>\n", x, kBottom, kTop,
                          kLeft, y, kRight);
    AddText(x, kBottom + 18, "middle", absl::StrFormat("%g", share * plot.x_max), svg);
    AddText(kLeft - 8, y + 4, "end", absl::StrFormat("%g", share * plot.y_max), svg);
  }
  AddText((kLeft + kRight) / 2, kTop - 16, "middle", plot.title, svg);
  AddText((kLeft + kRight) / 2, kBottom + 40, "middle", plot.x_label, svg);
  absl::StrAppendFormat(svg, "<text transform=\"translate(18 %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
                        (kTop + kBottom) / 2, Escape(plot.y_label));
}

void AddSeries(const LinePlot& plot, const PlotSeries& series, size_t index, std::string* svg) {
  const char* colour = kColours[index % std::size(kColours)];
  std::string path;
  for (const auto& [x, y] : series.points) {
    absl::StrAppendFormat(&path, "%s%.1f %.1f", path.empty() ? "M" : "L", X(plot, x), Y(plot, y));
  }
  absl::StrAppendFormat(svg, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path, colour);
  const double y = kTop + 18 + 18 * static_cast<double>(index);
  absl::StrAppendFormat(svg, "<path d=\"M%.1f %.1fh20\" stroke=\"%s\" stroke-width=\"2\"/>\n", kRight - 150, y - 4,
                        colour);
  AddText(kRight - 124, y, "start", series.name, svg);
}

}  // namespace

std::string RenderSvg(const LinePlot& plot) {
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" "
      "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
      kWidth, kHeight, kWidth, kHeight);
  AddAxes(plot, &svg);
  for (size_t i = 0; i < plot.series.size(); ++i) AddSeries(plot, plot.series[i], i, &svg);
  return svg + "</svg>\n";
}

}  // namespace lastro::services::eval
