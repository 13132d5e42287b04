// A line plot as an SVG file. Pure function, thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lastro::services::eval {

struct PlotSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // in order of x
};

struct LinePlot {
  std::string title;
  std::string x_label;
  std::string y_label;
  double x_max = 1;  // axes begin at 0
  double y_max = 1;
  std::vector<PlotSeries> series;
};

// 640 x 420, readable without any other file. Points outside the axes are drawn at their edge; texts are escaped.
std::string RenderSvg(const LinePlot& plot);

}  // namespace lastro::services::eval
