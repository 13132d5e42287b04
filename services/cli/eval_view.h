// Evaluations as people read them: tables for the terminal, plots for a browser. Pure but for the stream.
#pragma once

#include <ostream>
#include <string>

#include "lastro/v1/eval.pb.h"
#include "services/cli/terminal.h"

namespace lastro::services {

void PrintEvalReport(const v1::EvalReport& report, std::ostream& out, const Terminal& terminal);
void PrintEvalComparison(const v1::EvalComparison& comparison, std::ostream& out, const Terminal& terminal);

// SVG: the risk at every coverage; recall by the length of the list, one line a stage.
std::string RiskCoveragePlot(const v1::EvalReport& report);
std::string RecallPlot(const v1::EvalReport& report);

}  // namespace lastro::services
