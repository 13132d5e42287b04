#include "services/cli/session.h"

#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "services/cli/json_output.h"
#include "services/cli/text_width.h"

namespace lastro::services {
namespace {

constexpr size_t kMaxInputBytes = 16 << 20;

CallContext MakeContext(const Environment& environment, const GlobalOptions& options, const Scope& scope) {
  absl::Time deadline = absl::InfiniteFuture();
  if (options.timeout_s > 0) deadline = absl::Now() + absl::Seconds(options.timeout_s);
  return CallContext::Until(deadline, environment.interrupted).WithScope(scope);
}

// What to do about an error whose message does not say it.
absl::string_view AdviceFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "check --server and that lastrod is running";
    case absl::StatusCode::kDeadlineExceeded:
      return "give more time with --timeout";
    case absl::StatusCode::kNotFound:
      return "check the name";
    case absl::StatusCode::kResourceExhausted:
      return "try again later, or with less at once";
    case absl::StatusCode::kInternal:
      return "this is a fault of the program: please report it";
    default:
      return "see --help";
  }
}

}  // namespace

Session::Session(Environment& environment, GlobalOptions options, const Scope& scope)
    : environment_(environment), options_(std::move(options)), context_(MakeContext(environment_, options_, scope)) {}

absl::StatusOr<Node*> Session::node() {
  if (node_ == nullptr) {
    LASTRO_ASSIGN_OR_RETURN(node_, environment_.make_node(options_));
  }
  return node_.get();
}

absl::StatusOr<std::unique_ptr<Node>> Session::NodeOn(const std::string& data_folder) {
  LASTRO_CHECK(in_process(), "a server's data folder is its own");
  GlobalOptions options = options_;
  options.data = data_folder;
  return environment_.make_node(options);
}

absl::Status Session::PrintJson(const google::protobuf::Message& message) {
  LASTRO_ASSIGN_OR_RETURN(std::string json, ToJson(message, out_terminal().is_terminal));
  out() << json << "\n";
  return absl::OkStatus();
}

absl::StatusOr<std::string> Session::TextOrInput(const std::string& text, const std::string& what) {
  if (text != "-") {
    LASTRO_RETURN_IF_ERROR(CheckUtf8(text, what));
    return text;
  }
  std::string input;
  char piece[64 << 10];
  while (in().read(piece, sizeof piece), in().gcount() > 0) {
    input.append(piece, in().gcount());
    if (input.size() > kMaxInputBytes) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": standard input is over 16 MiB; give less at once"));
    }
  }
  LASTRO_RETURN_IF_ERROR(CheckUtf8(input, what));
  return input;
}

absl::Status CheckUtf8(absl::string_view text, absl::string_view what) {
  if (IsValidUtf8(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " is not valid UTF-8; convert it, e.g. with iconv"));
}

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnavailable;
    default:
      return kExitFailure;
  }
}

std::string ErrorLine(const absl::Status& status) {
  std::string what = OneLine(absl::string_view(status.message().data(), status.message().size()));
  if (what.empty()) what = absl::StatusCodeToString(status.code());
  if (absl::StrContains(what, "; ")) return absl::StrCat("lastro: ", what);
  return absl::StrCat("lastro: ", what, "; ", AdviceFor(status.code()));
}

}  // namespace lastro::services
