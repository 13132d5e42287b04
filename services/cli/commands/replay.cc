#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "services/answer/receipt.h"
#include "services/cli/commands/commands.h"
#include "services/cli/json_input.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr uint64_t kMaxReceiptsBytes = 256u << 20;
constexpr int kQuestionColumns = 60;

struct ReplayOptions {
  std::string file;
};

// An answer with its receipt, or a receipt alone.
absl::StatusOr<v1::Receipt> ParseReceipt(absl::string_view json, const std::string& what) {
  v1::Answer answer;
  LASTRO_RETURN_IF_ERROR(FromJson(json, what, &answer));
  v1::Receipt receipt = answer.receipt();
  if (!answer.has_receipt()) LASTRO_RETURN_IF_ERROR(FromJson(json, what, &receipt));
  if (receipt.has_request() && !receipt.answer_sha256().empty()) return receipt;
  return absl::InvalidArgumentError(
      absl::StrCat(what, " has no receipt that can be replayed; give what 'lastro ask --json' printed"));
}

// One object, on as many lines as it likes, or one on each line.
absl::StatusOr<std::vector<v1::Receipt>> ParseReceipts(absl::string_view text, const std::string& name) {
  absl::StatusOr<v1::Receipt> single = ParseReceipt(text, name);
  if (single.ok()) return std::vector<v1::Receipt>{*std::move(single)};
  std::vector<v1::Receipt> receipts;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    absl::StatusOr<v1::Receipt> receipt = ParseReceipt(line, absl::StrCat(name, ", line ", number));
    if (!receipt.ok()) return number == 1 ? single.status() : receipt.status();
    receipts.push_back(*std::move(receipt));
  }
  if (receipts.empty()) return absl::InvalidArgumentError(absl::StrCat(name, " is empty; give answers or receipts"));
  return receipts;
}

absl::StatusOr<std::string> ReadReceipts(const std::string& file, Session& session) {
  if (file == "-") return session.TextOrInput(file, "the receipts");
  return ReadFile(file, kMaxReceiptsBytes);
}

void PrintReport(const v1::ReplayReport& report, Session& session) {
  Style style = session.style();
  const std::string question = CutToWidth(OneLine(report.then().request().question()), kQuestionColumns);
  session.out() << (report.same() ? style.Dim("same   ") : style.Bold("changed")) << "  " << question << "\n";
  for (const std::string& change : report.changes()) session.out() << "         " << Printable(change, false) << "\n";
  if (report.same()) return;
  session.out() << "         it says now: " << Printable(OneLine(report.now().text()), false) << "\n";
}

absl::StatusOr<int> RunReplay(const ReplayOptions& options, Session& session) {
  LASTRO_ASSIGN_OR_RETURN(const std::string text, ReadReceipts(options.file, session));
  LASTRO_ASSIGN_OR_RETURN(const std::vector<v1::Receipt> receipts, ParseReceipts(text, options.file));
  LASTRO_ASSIGN_OR_RETURN(Node * node, session.node());
  int changed = 0;
  for (const v1::Receipt& receipt : receipts) {
    LASTRO_ASSIGN_OR_RETURN(v1::Answer answer, node->ask().Ask(receipt.request(), session.context()));
    const v1::ReplayReport report = answer::CompareReceipts(receipt, std::move(answer));
    changed += report.same() ? 0 : 1;
    if (session.options().json) {
      LASTRO_RETURN_IF_ERROR(session.PrintJson(report));
    } else {
      PrintReport(report, session);
    }
  }
  if (receipts.size() > 1 && !session.options().json) {
    session.out() << receipts.size() - static_cast<size_t>(changed) << " of " << receipts.size()
                  << " answers are the same\n";
  }
  return changed == 0 ? kExitOk : kExitChanged;
}

}  // namespace

void AddReplayCommand(CommandSet* set) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* command =
      set->Add("replay", "Asks again what a receipt was given for, and says what has changed",
               {"lastro ask \"How many days of leave do I have?\" --json > answer.json; lastro replay answer.json",
                "lastro replay answers.jsonl --json"});
  command
      ->add_option("file", options->file,
                   "Answers or receipts as JSON, one or one on each line; - reads standard input")
      ->required();
  set->OnRun(command, [options](Session& session) { return RunReplay(*options, session); });
}

}  // namespace lastro::services
