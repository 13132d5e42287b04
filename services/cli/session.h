// What a command of `lastro` works with: the process's streams, the global options, the components (made at first use)
// and the context of its calls. Commands see nothing else of the process, so that tests run them with fakes.
#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "google/protobuf/message.h"
#include "services/cli/terminal.h"
#include "services/compute_options.h"
#include "services/node.h"

namespace lastro::services {

// Exit codes of `lastro`; also in its --help.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,        // wrong usage or an invalid argument
  kExitProblems = 3,     // ingest --strict: some files were not ingested; doctor: something is damaged; eval --probes
  kExitAbstained = 4,    // ask --fail-on-abstain: the documents do not answer the question
  kExitUnavailable = 5,  // a server cannot be reached, or the time ran out: may be tried again
  kExitChanged = 6,      // replay: an answer is not what it was
  kExitInterrupted = 130,
};

struct GlobalOptions {
  std::string data;        // the data folder; empty: the default one
  std::string server;      // HOST:PORT; empty: everything in this process
  std::string collection;  // empty: "default"
  std::string tenant;
  std::optional<std::string> labels;  // not given: all
  bool json = false;
  std::string vector_index = "auto";
  std::string decoder;
  std::vector<std::string> embedders;
  std::string reranker;
  std::string reader;                 // or "none"
  std::vector<std::string> adapters;  // NAME=DIR
  ComputeConfig compute;
  double timeout_s = 0;  // of the whole command; 0: none
  bool no_color = false;
  bool verbose = false;
};

// What the program gives its commands. References must outlive the session.
struct Environment {
  std::ostream& out;
  std::ostream& err;
  std::istream& in;
  Terminal out_terminal;
  Terminal err_terminal;
  bool in_is_terminal = false;
  std::function<absl::StatusOr<std::unique_ptr<Node>>(const GlobalOptions&)> make_node;
  std::function<bool()> interrupted;  // thread-safe: Ctrl-C was pressed
};

// Not thread-safe, but for context().
class Session {
 public:
  Session(Environment& environment, GlobalOptions options, const Scope& scope);

  const GlobalOptions& options() const { return options_; }
  bool in_process() const { return options_.server.empty(); }
  bool interrupted() const { return environment_.interrupted && environment_.interrupted(); }

  // The components, made at the first call. Errors of Node::Create or ConnectToServer.
  absl::StatusOr<Node*> node();
  // Components of their own on another data folder, in this process. REQUIRES: in_process().
  absl::StatusOr<std::unique_ptr<Node>> NodeOn(const std::string& data_folder);
  // Of every call of the command: in the scope of --tenant and --labels, cancelled by Ctrl-C, ended by --timeout.
  const CallContext& context() const { return context_; }

  std::ostream& out() { return environment_.out; }
  std::ostream& err() { return environment_.err; }
  std::istream& in() { return environment_.in; }
  bool in_is_terminal() const { return environment_.in_is_terminal; }
  const Terminal& out_terminal() const { return environment_.out_terminal; }
  const Terminal& err_terminal() const { return environment_.err_terminal; }
  Style style() const { return Style(environment_.out_terminal.colours); }

  // Prints one JSON object and a line break: on one line, or indented on a terminal.
  absl::Status PrintJson(const google::protobuf::Message& message);

  // `text`, or all of standard input when it is "-". INVALID_ARGUMENT names `what` when it is no UTF-8 or over 16 MiB.
  absl::StatusOr<std::string> TextOrInput(const std::string& text, const std::string& what);

 private:
  Environment& environment_;
  const GlobalOptions options_;
  const CallContext context_;
  std::unique_ptr<Node> node_;
};

// INVALID_ARGUMENT naming `what` unless `text` is UTF-8.
absl::Status CheckUtf8(absl::string_view text, absl::string_view what);

// The exit code that tells of an error.
int ExitCodeOf(const absl::Status& status);

// "lastro: what; what to do", one line, printable, without a line break.
std::string ErrorLine(const absl::Status& status);

}  // namespace lastro::services
