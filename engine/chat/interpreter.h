// The interpreter: a parsed template and its variables -> text. One per rendering; not thread-safe.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "engine/chat/access.h"
#include "engine/chat/arguments.h"
#include "engine/chat/ast.h"
#include "engine/chat/budget.h"

namespace lastro::engine::chat {

// The variables of one block that has its own. What it does not hold is looked up in the parent.
struct Scope {
  const Scope* parent = nullptr;
  std::vector<std::pair<std::string, Value>> variables;

  Value* Find(absl::string_view name);
  const Value* Lookup(absl::string_view name) const;
  void Set(absl::string_view name, Value value);
};

// A macro, or the body of a call block, which has no parameters.
struct Macro {
  const Statement* statement;
  const Scope* scope;  // where it was defined
};

class Interpreter {
 public:
  // `budget` must outlive the interpreter. `now` is what strftime_now() formats.
  Interpreter(absl::CivilSecond now, Budget* budget) : now_(now), budget_(budget) {}
  Interpreter(const Interpreter&) = delete;

  // Renders `body`, which must outlive the interpreter, with `variables`. INVALID_ARGUMENT for what a template does
  // wrong and for raise_exception (with its message), UNIMPLEMENTED for a function there is not, RESOURCE_EXHAUSTED;
  // messages open with the line.
  absl::StatusOr<Text> Run(const Body& body, std::vector<std::pair<std::string, Value>> variables);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  struct DepthGuard;

  absl::StatusOr<Flow> Execute(const Body& body, Scope* scope, Text* out);
  absl::StatusOr<Flow> Execute(const Statement& statement, Scope* scope, Text* out);
  absl::StatusOr<Flow> ExecuteIf(const Statement& statement, Scope* scope, Text* out);
  absl::StatusOr<Flow> ExecuteFor(const Statement& statement, Scope* scope, Text* out);
  absl::StatusOr<std::vector<Value>> LoopItems(const Statement& statement, Scope* scope);
  absl::Status ExecuteSet(const Statement& statement, Scope* scope);
  absl::Status ExecuteCallBlock(const Statement& statement, Scope* scope, Text* out);
  // Executes `body` in a new scope and passes the text through `filters` (may be null).
  absl::StatusOr<Value> Capture(const Statement& statement, const Expression* filters, Scope* scope);
  absl::Status Bind(const Target& target, Value value, Scope* scope, int line);
  absl::Status Print(const Text& text, Text* out);
  // A new scope, which lives as long as the interpreter: macros may refer to it.
  absl::StatusOr<Scope*> NewScope(const Scope* parent);

  absl::StatusOr<Value> Evaluate(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateKind(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateSlice(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateSequence(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateDict(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateCompare(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateConditional(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateFilter(const Expression& expression, const Scope& scope);
  absl::StatusOr<Value> EvaluateCall(const Expression& expression, const Scope& scope, const Macro* caller);
  absl::StatusOr<Arguments> EvaluateArguments(const Expression& expression, const Scope& scope);
  Value LookUp(const std::string& name, const Scope& scope) const;

  absl::StatusOr<Value> CallMacro(const Macro& macro, const Arguments& arguments, const Macro* caller);
  absl::StatusOr<Value> CallFunction(absl::string_view name, const Arguments& arguments);
  absl::StatusOr<Value> Range(const Arguments& arguments);
  absl::StatusOr<Value> NewNamespace(const Arguments& arguments);

  const absl::CivilSecond now_;
  Budget* const budget_;
  int depth_ = 0;       // of evaluation
  Value filter_input_;  // the text of a filter block or block set, for the filter at the start of its chain
  std::deque<Scope> scopes_;
  std::deque<Namespace> namespaces_;
  std::deque<Macro> macros_;
  std::deque<Loop> loops_;
};

}  // namespace lastro::engine::chat
