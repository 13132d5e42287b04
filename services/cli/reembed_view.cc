#include "services/cli/reembed_view.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/eval_view.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr size_t kFingerprintShown = 12;

void AddSet(const v1::VectorSet& set, const std::string& role, int64_t chunks, Table* table) {
  table->AddRow({role, set.model(), set.fingerprint().substr(0, kFingerprintShown), absl::StrCat(set.dimension()),
                 absl::StrCat(FormatCount(set.vectors()), " of ", FormatCount(chunks)), FormatBytes(set.bytes())});
}

std::string NextSteps(const v1::Reembedding& state) {
  if (!state.has_other()) return "";
  const v1::VectorSet& other = state.other();
  const std::string command = absl::StrCat("lastro reembed ", OneLine(state.collection()));
  const std::string drop = absl::StrCat("  ", command, " --finish     # drops the vectors that are not searched\n");
  if (other.since_commit() > 0)
    return absl::StrCat("  ", command, " --rollback   # searches by the other again\n", drop);
  if (other.vectors() < state.chunks()) {
    return absl::StrCat("  ", command, " --embedder ", OneLine(other.model()), "   # goes on\n", drop);
  }
  return absl::StrCat("  ", command, " --compare    # the two models on a sample of queries\n", "  ", command,
                      " --switch     # searches by the other from then on\n", drop);
}

}  // namespace

void PrintReembedding(const v1::Reembedding& state, const Terminal& terminal, std::ostream& out) {
  Table table({{""},
               {"model"},
               {"fingerprint"},
               {"dimension", Table::Align::kRight},
               {"vectors", Table::Align::kRight},
               {"bytes", Table::Align::kRight}});
  AddSet(state.searched(), "searched", state.chunks(), &table);
  if (state.has_other()) {
    AddSet(state.other(), state.other().since_commit() > 0 ? "before" : "new", state.chunks(), &table);
  }
  table.Print(out, terminal);
  out << NextSteps(state);
}

void PrintModelComparison(const v1::ModelComparison& comparison, const Terminal& terminal, std::ostream& out) {
  out << absl::StrFormat("a: %s (searched)  b: %s  %d queries, by meaning alone\n", OneLine(comparison.model_a()),
                         OneLine(comparison.model_b()), comparison.queries());
  out << absl::StrFormat("overlap@10: %.3f (95%%: %.3f to %.3f)\n", comparison.overlap(), comparison.overlap_low(),
                         comparison.overlap_high());
  if (comparison.has_known_items()) PrintEvalComparison(comparison.known_items(), out, terminal);
  for (const v1::ModelComparison::Query& query : comparison.lowest()) {
    out << absl::StrFormat("  %.2f  %s\n", query.overlap(), OneLine(query.query()));
  }
}

}  // namespace lastro::services
