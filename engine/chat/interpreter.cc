#include "engine/chat/interpreter.h"

#include <algorithm>
#include <ctime>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/chat/filters.h"
#include "engine/chat/operators.h"
#include "engine/chat/value_tests.h"

namespace lastro::engine::chat {
namespace {

using Kind = Expression::Kind;

// Of evaluation: calls within expressions within blocks. The stack holds this many levels.
constexpr int kMaxDepth = 500;
// What the things cost that live as long as the rendering.
constexpr int64_t kScopeBytes = 256;
constexpr int64_t kMaxRange = 100'000;
constexpr size_t kMaxTimeFormatBytes = 256;
constexpr absl::string_view kFunctions[] = {"range", "dict", "namespace", "raise_exception", "strftime_now"};

absl::Status AtLine(int line, const absl::Status& status) {
  if (status.ok() || absl::StartsWith(status.message(), "line ")) return status;
  return absl::Status(status.code(), absl::StrCat("line ", line, ": ", status.message()));
}

absl::Status Invalid(absl::string_view message) { return absl::InvalidArgumentError(message); }

absl::StatusOr<Value> FormatTime(const Text& format, absl::CivilSecond now) {
  if (format.size() > kMaxTimeFormatBytes) {
    return Invalid(
        absl::StrCat("strftime_now: a format of ", format.size(), " bytes; the limit is ", kMaxTimeFormatBytes));
  }
  std::tm time = {};
  time.tm_year = static_cast<int>(now.year()) - 1900;
  time.tm_mon = now.month() - 1;
  time.tm_mday = now.day();
  time.tm_hour = now.hour();
  time.tm_min = now.minute();
  time.tm_sec = now.second();
  time.tm_wday = (static_cast<int>(absl::GetWeekday(absl::CivilDay(now))) + 1) % 7;  // Sunday first
  time.tm_yday = absl::GetYearDay(absl::CivilDay(now)) - 1;
  char buffer[8192];
  const size_t size = std::strftime(buffer, sizeof(buffer), format.bytes().c_str(), &time);
  return Value(Text(absl::string_view(buffer, size), true));
}

}  // namespace

// One level of evaluation, for as long as it lives.
struct Interpreter::DepthGuard {
  explicit DepthGuard(Interpreter* interpreter) : depth(&interpreter->depth_) { ++*depth; }
  ~DepthGuard() { --*depth; }
  absl::Status Check() const {
    if (*depth <= kMaxDepth) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("evaluation nests deeper than ", kMaxDepth, " levels"));
  }
  int* depth;
};

Value* Scope::Find(absl::string_view name) {
  for (auto& [variable, value] : variables) {
    if (variable == name) return &value;
  }
  return nullptr;
}

const Value* Scope::Lookup(absl::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    if (const Value* value = const_cast<Scope*>(scope)->Find(name)) return value;
  }
  return nullptr;
}

void Scope::Set(absl::string_view name, Value value) {
  if (Value* variable = Find(name)) {
    *variable = std::move(value);
  } else {
    variables.emplace_back(std::string(name), std::move(value));
  }
}

absl::StatusOr<Text> Interpreter::Run(const Body& body, std::vector<std::pair<std::string, Value>> variables) {
  LASTRO_ASSIGN_OR_RETURN(Scope * globals, NewScope(nullptr));
  globals->variables = std::move(variables);
  LASTRO_ASSIGN_OR_RETURN(Scope * scope, NewScope(globals));
  Text out;
  LASTRO_RETURN_IF_ERROR(Execute(body, scope, &out).status());
  return out;
}

absl::StatusOr<Scope*> Interpreter::NewScope(const Scope* parent) {
  LASTRO_RETURN_IF_ERROR(budget_->Write(kScopeBytes));
  Scope& scope = scopes_.emplace_back();
  scope.parent = parent;
  return &scope;
}

// ---- statements

absl::StatusOr<Interpreter::Flow> Interpreter::Execute(const Body& body, Scope* scope, Text* out) {
  DepthGuard guard(this);
  LASTRO_RETURN_IF_ERROR(guard.Check());
  for (const Statement& statement : body) {
    LASTRO_RETURN_IF_ERROR(AtLine(statement.line, budget_->Step()));
    absl::StatusOr<Flow> flow = Execute(statement, scope, out);
    if (!flow.ok()) return AtLine(statement.line, flow.status());
    if (*flow != Flow::kNext) return *flow;
  }
  return Flow::kNext;
}

absl::StatusOr<Interpreter::Flow> Interpreter::Execute(const Statement& statement, Scope* scope, Text* out) {
  switch (statement.kind) {
    case Statement::Kind::kText:
      LASTRO_RETURN_IF_ERROR(Print(statement.text, out));
      break;
    case Statement::Kind::kPrint: {
      LASTRO_ASSIGN_OR_RETURN(Value value, Evaluate(*statement.expressions[0], *scope));
      LASTRO_ASSIGN_OR_RETURN(Text text, PrintedText(value, budget_));
      out->Append(text);
      break;
    }
    case Statement::Kind::kIf:
      return ExecuteIf(statement, scope, out);
    case Statement::Kind::kFor:
      return ExecuteFor(statement, scope, out);
    case Statement::Kind::kSet:
    case Statement::Kind::kSetBlock:
      LASTRO_RETURN_IF_ERROR(ExecuteSet(statement, scope));
      break;
    case Statement::Kind::kFilter: {
      LASTRO_ASSIGN_OR_RETURN(Value value, Capture(statement, statement.expressions[0].get(), scope));
      LASTRO_ASSIGN_OR_RETURN(Text text, PrintedText(value, budget_));
      out->Append(text);
      break;
    }
    case Statement::Kind::kMacro:
      LASTRO_RETURN_IF_ERROR(budget_->Write(kScopeBytes));
      scope->Set(statement.name, Value(&macros_.emplace_back(Macro{&statement, scope})));
      break;
    case Statement::Kind::kCall:
      LASTRO_RETURN_IF_ERROR(ExecuteCallBlock(statement, scope, out));
      break;
    case Statement::Kind::kScope: {
      LASTRO_ASSIGN_OR_RETURN(Scope * inner, NewScope(scope));
      return Execute(statement.bodies[0], inner, out);
    }
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

absl::Status Interpreter::Print(const Text& text, Text* out) {
  LASTRO_RETURN_IF_ERROR(budget_->Write(static_cast<int64_t>(text.size())));
  out->Append(text);
  return absl::OkStatus();
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteIf(const Statement& statement, Scope* scope, Text* out) {
  for (size_t i = 0; i < statement.expressions.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(Value condition, Evaluate(*statement.expressions[i], *scope));
    if (condition.Truth()) return Execute(statement.bodies[i], scope, out);
  }
  if (statement.bodies.size() == statement.expressions.size()) return Flow::kNext;
  return Execute(statement.bodies.back(), scope, out);
}

absl::StatusOr<std::vector<Value>> Interpreter::LoopItems(const Statement& statement, Scope* scope) {
  LASTRO_ASSIGN_OR_RETURN(Value sequence, Evaluate(*statement.expressions[0], *scope));
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, ItemsOf(sequence, budget_));
  LASTRO_RETURN_IF_ERROR(budget_->Write(static_cast<int64_t>(items.size() * sizeof(Value))));
  if (statement.expressions[1] == nullptr) return items;
  LASTRO_ASSIGN_OR_RETURN(Scope * inner, NewScope(scope));
  std::vector<Value> kept;
  for (Value& item : items) {
    LASTRO_RETURN_IF_ERROR(Bind(statement.target, item, inner, statement.line));
    LASTRO_ASSIGN_OR_RETURN(Value keep, Evaluate(*statement.expressions[1], *inner));
    if (keep.Truth()) kept.push_back(std::move(item));
  }
  return kept;
}

absl::StatusOr<Interpreter::Flow> Interpreter::ExecuteFor(const Statement& statement, Scope* scope, Text* out) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> items, LoopItems(statement, scope));
  LASTRO_ASSIGN_OR_RETURN(Scope * inner, NewScope(scope));
  if (items.empty()) {
    return statement.bodies.size() > 1 ? Execute(statement.bodies[1], inner, out) : absl::StatusOr<Flow>(Flow::kNext);
  }
  LASTRO_RETURN_IF_ERROR(budget_->Write(kScopeBytes));
  Loop& loop = loops_.emplace_back();
  loop.items = std::move(items);
  absl::StatusOr<Flow> flow = Flow::kNext;
  for (; loop.index < loop.items.size(); ++loop.index) {
    inner->variables.clear();
    inner->Set("loop", Value(static_cast<const Loop*>(&loop)));
    absl::Status bound = Bind(statement.target, loop.items[loop.index], inner, statement.line);
    flow = bound.ok() ? Execute(statement.bodies[0], inner, out) : absl::StatusOr<Flow>(bound);
    if (!flow.ok() || *flow == Flow::kBreak) break;
  }
  loop = Loop();  // a template may still hold it: it is an empty loop then
  if (!flow.ok()) return flow.status();
  return Flow::kNext;
}

absl::Status Interpreter::Bind(const Target& target, Value value, Scope* scope, int line) {
  if (!target.attribute.empty()) {
    const Value* space = scope->Lookup(target.names[0]);
    if (space == nullptr || space->AsNamespace() == nullptr) {
      return AtLine(line, Invalid(absl::StrCat("'", target.names[0], "' is no namespace: its attribute '",
                                               target.attribute, "' cannot be set")));
    }
    LASTRO_RETURN_IF_ERROR(budget_->Write(static_cast<int64_t>(target.attribute.size() + sizeof(Value))));
    space->AsNamespace()->fields[target.attribute] = std::move(value);
    return absl::OkStatus();
  }
  if (target.names.size() == 1) {
    scope->Set(target.names[0], std::move(value));
    return absl::OkStatus();
  }
  LASTRO_ASSIGN_OR_RETURN(std::vector<Value> parts, ItemsOf(value, budget_));
  if (parts.size() != target.names.size()) {
    return AtLine(line, Invalid(absl::StrCat(parts.size(), " values for ", target.names.size(), " names")));
  }
  for (size_t i = 0; i < parts.size(); ++i) scope->Set(target.names[i], std::move(parts[i]));
  return absl::OkStatus();
}

absl::StatusOr<Value> Interpreter::Capture(const Statement& statement, const Expression* filters, Scope* scope) {
  LASTRO_ASSIGN_OR_RETURN(Scope * inner, NewScope(scope));
  Text text;
  LASTRO_RETURN_IF_ERROR(Execute(statement.bodies[0], inner, &text).status());
  Value value = Value(std::move(text));
  if (filters == nullptr) return value;
  filter_input_ = std::move(value);
  return Evaluate(*filters, *scope);
}

absl::Status Interpreter::ExecuteSet(const Statement& statement, Scope* scope) {
  absl::StatusOr<Value> value = statement.kind == Statement::Kind::kSet
                                    ? Evaluate(*statement.expressions[0], *scope)
                                    : Capture(statement, statement.expressions[0].get(), scope);
  LASTRO_RETURN_IF_ERROR(value.status());
  return Bind(statement.target, *std::move(value), scope, statement.line);
}

absl::Status Interpreter::ExecuteCallBlock(const Statement& statement, Scope* scope, Text* out) {
  LASTRO_RETURN_IF_ERROR(budget_->Write(kScopeBytes));
  const Macro& caller = macros_.emplace_back(Macro{&statement, scope});
  LASTRO_ASSIGN_OR_RETURN(Value value, EvaluateCall(*statement.expressions[0], *scope, &caller));
  LASTRO_ASSIGN_OR_RETURN(Text text, PrintedText(value, budget_));
  out->Append(text);
  return absl::OkStatus();
}

// ---- expressions

absl::StatusOr<Value> Interpreter::Evaluate(const Expression& expression, const Scope& scope) {
  DepthGuard guard(this);
  LASTRO_RETURN_IF_ERROR(AtLine(expression.line, guard.Check()));
  LASTRO_RETURN_IF_ERROR(AtLine(expression.line, budget_->Step()));
  absl::StatusOr<Value> value = EvaluateKind(expression, scope);
  if (!value.ok()) return AtLine(expression.line, value.status());
  return value;
}

absl::StatusOr<Value> Interpreter::EvaluateKind(const Expression& expression, const Scope& scope) {
  switch (expression.kind) {
    case Kind::kLiteral:
      return expression.literal;
    case Kind::kName:
      return LookUp(expression.name, scope);
    case Kind::kSlice:
      return EvaluateSlice(expression, scope);
    case Kind::kCall:
      return EvaluateCall(expression, scope, nullptr);
    case Kind::kFilter:
    case Kind::kTest:
      return EvaluateFilter(expression, scope);
    case Kind::kList:
    case Kind::kTuple:
      return EvaluateSequence(expression, scope);
    case Kind::kDict:
      return EvaluateDict(expression, scope);
    case Kind::kCompare:
      return EvaluateCompare(expression, scope);
    case Kind::kConditional:
      return EvaluateConditional(expression, scope);
    default:
      break;
  }
  LASTRO_ASSIGN_OR_RETURN(Value first, Evaluate(*expression.operands[0], scope));
  switch (expression.kind) {
    case Kind::kAttribute:
      return GetAttribute(first, expression.name);
    case Kind::kNot:
      return Value(!first.Truth());
    case Kind::kNegate:
      return Negate(first);
    case Kind::kPlus:
      return first.is_number() ? absl::StatusOr<Value>(first) : Invalid(absl::StrCat("'+' of ", first.KindName()));
    case Kind::kAnd:
      return first.Truth() ? Evaluate(*expression.operands[1], scope) : first;
    case Kind::kOr:
      return first.Truth() ? first : Evaluate(*expression.operands[1], scope);
    default:
      break;
  }
  LASTRO_ASSIGN_OR_RETURN(Value second, Evaluate(*expression.operands[1], scope));
  return expression.kind == Kind::kItem ? GetItem(first, second) : ApplyBinary(expression.name, first, second, budget_);
}

Value Interpreter::LookUp(const std::string& name, const Scope& scope) const {
  if (const Value* value = scope.Lookup(name)) return *value;
  if (std::find(std::begin(kFunctions), std::end(kFunctions), name) != std::end(kFunctions)) {
    return Value(Builtin{name, nullptr});
  }
  return Value::MissingName(name);
}

absl::StatusOr<Value> Interpreter::EvaluateSlice(const Expression& expression, const Scope& scope) {
  LASTRO_ASSIGN_OR_RETURN(Value value, Evaluate(*expression.operands[0], scope));
  std::optional<int64_t> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expression.operands[i + 1] == nullptr) continue;
    LASTRO_ASSIGN_OR_RETURN(Value bound, Evaluate(*expression.operands[i + 1], scope));
    if (bound.is_none()) continue;
    if (!bound.AsInt() && !bound.AsBool()) return Invalid(absl::StrCat("a slice at ", bound.KindName()));
    bounds[i] = bound.ToInt();
  }
  return GetSlice(value, bounds[0], bounds[1], bounds[2], budget_);
}

absl::StatusOr<Value> Interpreter::EvaluateSequence(const Expression& expression, const Scope& scope) {
  std::vector<Value> items;
  for (const ExpressionPtr& operand : expression.operands) {
    LASTRO_ASSIGN_OR_RETURN(Value item, Evaluate(*operand, scope));
    items.push_back(std::move(item));
  }
  LASTRO_RETURN_IF_ERROR(budget_->Write(static_cast<int64_t>(items.size() * sizeof(Value))));
  return Value::MakeList(std::move(items), expression.kind == Kind::kTuple);
}

absl::StatusOr<Value> Interpreter::EvaluateDict(const Expression& expression, const Scope& scope) {
  std::vector<std::pair<Text, Value>> items;
  for (size_t i = 0; i < expression.operands.size(); i += 2) {
    LASTRO_ASSIGN_OR_RETURN(Value key, Evaluate(*expression.operands[i], scope));
    LASTRO_ASSIGN_OR_RETURN(Value value, Evaluate(*expression.operands[i + 1], scope));
    if (key.AsText() == nullptr) return Invalid(absl::StrCat("a key of a dict is ", key.KindName(), ", not a string"));
    LASTRO_RETURN_IF_ERROR(budget_->Write(2 * key.weight() + static_cast<int64_t>(2 * sizeof(Value))));
    items.emplace_back(*key.AsText(), std::move(value));
  }
  return Value::MakeDict(std::move(items));
}

absl::StatusOr<Value> Interpreter::EvaluateCompare(const Expression& expression, const Scope& scope) {
  LASTRO_ASSIGN_OR_RETURN(Value left, Evaluate(*expression.operands[0], scope));
  for (size_t i = 0; i < expression.names.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(Value right, Evaluate(*expression.operands[i + 1], scope));
    LASTRO_ASSIGN_OR_RETURN(bool holds, ApplyComparison(expression.names[i], left, right, budget_));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

absl::StatusOr<Value> Interpreter::EvaluateConditional(const Expression& expression, const Scope& scope) {
  LASTRO_ASSIGN_OR_RETURN(Value condition, Evaluate(*expression.operands[0], scope));
  const ExpressionPtr& chosen = expression.operands[condition.Truth() ? 1 : 2];
  if (chosen == nullptr) return Value::MissingName("the missing else of an if expression");
  return Evaluate(*chosen, scope);
}

absl::StatusOr<Value> Interpreter::EvaluateFilter(const Expression& expression, const Scope& scope) {
  const Expression* operand = expression.operands[0].get();
  // The start of a filter block's chain is evaluated before anything else can set another input.
  absl::StatusOr<Value> value = operand != nullptr ? Evaluate(*operand, scope) : std::move(filter_input_);
  LASTRO_RETURN_IF_ERROR(value.status());
  LASTRO_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expression, scope));
  if (expression.kind == Kind::kFilter) return ApplyFilter(expression.name, *value, arguments, budget_);
  LASTRO_ASSIGN_OR_RETURN(bool holds, ApplyTest(expression.name, *value, arguments, budget_));
  return Value(holds);
}

absl::StatusOr<Arguments> Interpreter::EvaluateArguments(const Expression& expression, const Scope& scope) {
  Arguments arguments;
  for (size_t i = 1; i < expression.operands.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(Value value, Evaluate(*expression.operands[i], scope));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, operand] : expression.keywords) {
    LASTRO_ASSIGN_OR_RETURN(Value value, Evaluate(*operand, scope));
    arguments.keywords.emplace_back(name, std::move(value));
  }
  return arguments;
}

absl::StatusOr<Value> Interpreter::EvaluateCall(const Expression& expression, const Scope& scope, const Macro* caller) {
  LASTRO_ASSIGN_OR_RETURN(Value callee, Evaluate(*expression.operands[0], scope));
  LASTRO_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expression, scope));
  if (const Macro* macro = callee.AsMacro()) return CallMacro(*macro, arguments, caller);
  const Builtin* builtin = callee.AsBuiltin();
  if (builtin != nullptr && builtin->receiver != nullptr) {
    return CallMethod(*builtin->receiver, builtin->name, arguments, budget_);
  }
  if (builtin != nullptr) return CallFunction(builtin->name, arguments);
  if (callee.is_undefined()) {
    return absl::UnimplementedError(
        absl::StrCat("the function or method '", callee.MissingWhat(), "' is not supported in chat templates"));
  }
  return Invalid(absl::StrCat(callee.KindName(), " cannot be called"));
}

// ---- macros and functions

absl::StatusOr<Value> Interpreter::CallMacro(const Macro& macro, const Arguments& arguments, const Macro* caller) {
  const Statement& statement = *macro.statement;
  const std::string what = absl::StrCat("the macro '", statement.name, "'");
  const std::vector<absl::string_view> names(statement.parameters.begin(), statement.parameters.end());
  LASTRO_RETURN_IF_ERROR(arguments.Check(what, 0, names.size(), names));
  LASTRO_ASSIGN_OR_RETURN(Scope * scope, NewScope(macro.scope));
  for (size_t i = 0; i < names.size(); ++i) {
    Value value = Value::MissingName(names[i]);
    if (const Value* given = arguments.Find(i, names[i])) {
      value = *given;
    } else if (statement.expressions[i] != nullptr) {
      LASTRO_ASSIGN_OR_RETURN(value, Evaluate(*statement.expressions[i], *scope));
    }
    scope->Set(names[i], std::move(value));
  }
  if (caller != nullptr) scope->Set("caller", Value(caller));
  Text text;
  LASTRO_RETURN_IF_ERROR(Execute(statement.bodies[0], scope, &text).status());
  return Value(std::move(text));
}

absl::StatusOr<Value> Interpreter::CallFunction(absl::string_view name, const Arguments& arguments) {
  if (name == "range") return Range(arguments);
  if (name == "namespace") return NewNamespace(arguments);
  if (name == "dict") {
    std::vector<std::pair<Text, Value>> items;
    const Arguments positional = {arguments.positional, {}};
    LASTRO_RETURN_IF_ERROR(positional.Check("dict", 0, 0));
    for (const auto& [key, value] : arguments.keywords) items.emplace_back(Text(key, true), value);
    return Value::MakeDict(std::move(items));
  }
  LASTRO_RETURN_IF_ERROR(arguments.Check(name, 1, 1));
  if (name == "raise_exception") {
    LASTRO_ASSIGN_OR_RETURN(Text message, PrintedText(arguments.positional[0], budget_));
    return Invalid(absl::StrCat("the template refuses these messages: ", message.bytes()));
  }
  LASTRO_ASSIGN_OR_RETURN(Text format, arguments.String(0, "format", ""));
  return FormatTime(format, now_);
}

absl::StatusOr<Value> Interpreter::Range(const Arguments& arguments) {
  LASTRO_RETURN_IF_ERROR(arguments.Check("range", 1, 3));
  int64_t bounds[3] = {0, 0, 1};  // start, stop, step
  const size_t count = arguments.positional.size();
  for (size_t i = 0; i < count; ++i) {
    LASTRO_ASSIGN_OR_RETURN(bounds[count == 1 ? 1 : i], arguments.Int(i, "bound", 0));
  }
  const auto [start, stop, step] = bounds;
  if (step == 0) return Invalid("range: a step of 0");
  std::vector<Value> items;
  for (__int128 i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (static_cast<int64_t>(items.size()) == kMaxRange) {
      return absl::ResourceExhaustedError(absl::StrCat("range: more than ", kMaxRange, " items"));
    }
    items.emplace_back(static_cast<int64_t>(i));
  }
  LASTRO_RETURN_IF_ERROR(budget_->Step(static_cast<int64_t>(items.size())));
  LASTRO_RETURN_IF_ERROR(budget_->Write(static_cast<int64_t>(items.size() * sizeof(Value))));
  return Value::MakeList(std::move(items));
}

absl::StatusOr<Value> Interpreter::NewNamespace(const Arguments& arguments) {
  const Arguments positional = {arguments.positional, {}};
  LASTRO_RETURN_IF_ERROR(positional.Check("namespace", 0, 1));
  LASTRO_RETURN_IF_ERROR(budget_->Write(kScopeBytes));
  Namespace& space = namespaces_.emplace_back();
  if (!arguments.positional.empty()) {
    const Dict* dict = arguments.positional[0].AsDict();
    if (dict == nullptr) return Invalid("namespace: the argument must be a dict");
    for (const auto& [key, value] : dict->items) space.fields[key.bytes()] = value;
  }
  for (const auto& [name, value] : arguments.keywords) space.fields[name] = value;
  return Value(&space);
}

}  // namespace lastro::engine::chat
