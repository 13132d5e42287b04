#include "engine/chat/parser.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "engine/chat/filters.h"
#include "engine/chat/lexer.h"
#include "engine/chat/value_tests.h"

namespace lastro::engine::chat {
namespace {

using Kind = Expression::Kind;
using Token = LexToken::Kind;

constexpr absl::string_view kReserved[] = {"and", "or", "not", "in", "is", "if", "else", "elif", "for"};

Statement NewStatement(Statement::Kind kind, int line) {
  Statement statement;
  statement.kind = kind;
  statement.line = line;
  return statement;
}

ExpressionPtr NewExpression(Kind kind, int line) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  return node;
}

class Parser {
 public:
  explicit Parser(std::vector<LexToken> tokens) : tokens_(std::move(tokens)) {}

  absl::StatusOr<Body> Run() {
    Body body;
    LASTRO_ASSIGN_OR_RETURN(std::string end, ParseBody({}, &body));
    return body;
  }

 private:
  // One level of nesting, for as long as it lives.
  struct Level {
    explicit Level(int* depth) : depth(depth) { ++*depth; }
    ~Level() { --*depth; }
    int* depth;
  };

  const LexToken& Peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  LexToken Next() {
    LexToken token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool Accept(absl::string_view op) { return Peek().Is(op) && (Next(), true); }
  bool AcceptName(absl::string_view name) { return Peek().IsName(name) && (Next(), true); }
  absl::Status Expect(absl::string_view op) {
    return Accept(op) ? absl::OkStatus() : Unexpected(absl::StrCat("'", op, "'"));
  }
  absl::StatusOr<std::string> ExpectName() {
    if (Peek().kind != Token::kName) return Unexpected("a name");
    return Next().text;
  }
  absl::Status ExpectBlockEnd() {
    if (Peek().kind != Token::kBlockEnd) return Unexpected("'%}'");
    Next();
    return absl::OkStatus();
  }
  absl::Status Fail(absl::string_view message) const {
    return absl::InvalidArgumentError(absl::StrCat("line ", Peek().line, ": ", message));
  }
  absl::Status Unexpected(absl::string_view wanted) const {
    const LexToken& token = Peek();
    const std::string found = token.kind == Token::kEnd           ? "the end of the template"
                              : token.kind == Token::kBlockEnd    ? "'%}'"
                              : token.kind == Token::kVariableEnd ? "'}}'"
                                                                  : absl::StrCat("'", token.text, "'");
    return Fail(absl::StrCat("expected ", wanted, ", found ", found));
  }
  absl::Status Unsupported(absl::string_view what, absl::string_view name, int line) const {
    return absl::UnimplementedError(
        absl::StrCat("line ", line, ": the ", what, " '", name, "' is not supported in chat templates"));
  }
  absl::Status CheckDepth() const {
    if (depth_ <= kMaxTreeDepth) return absl::OkStatus();
    return Fail(absl::StrCat("nested deeper than ", kMaxTreeDepth, " levels"));
  }
  // `node` with its depth set; fails when it is too deep.
  absl::StatusOr<ExpressionPtr> Finish(ExpressionPtr node) const;

  // Statements up to a tag whose name is in `ends` (the template's end when that is empty): that name. The tag's name
  // is consumed, what follows it not.
  absl::StatusOr<std::string> ParseBody(const std::vector<absl::string_view>& ends, Body* body);
  absl::Status ParseStatement(const std::string& name, int line, Body* body);
  // The body of a block, up to {% end %}, both tags' ends included.
  absl::Status ParseBlock(absl::string_view end, Statement* statement);
  absl::Status ParsePrint(Body* body);
  absl::Status ParseIf(Statement* statement);
  absl::Status ParseFor(Statement* statement);
  absl::Status ParseSet(Statement* statement);
  absl::Status ParseMacro(Statement* statement);
  absl::Status ParseCallBlock(Statement* statement);
  absl::Status ParseFilterBlock(Statement* statement);
  absl::Status ParseParameters(Statement* statement);
  absl::StatusOr<Target> ParseTarget();

  absl::StatusOr<ExpressionPtr> ParseTuple();  // an expression, or several separated by commas
  absl::StatusOr<ExpressionPtr> ParseExpression();
  absl::StatusOr<ExpressionPtr> ParseOr();
  absl::StatusOr<ExpressionPtr> ParseAnd();
  absl::StatusOr<ExpressionPtr> ParseNot();
  absl::StatusOr<ExpressionPtr> ParseCompare();
  absl::StatusOr<ExpressionPtr> ParseBinary(size_t level);
  absl::StatusOr<ExpressionPtr> ParseUnary(bool with_filter);
  absl::StatusOr<ExpressionPtr> ParsePrimary();
  absl::StatusOr<ExpressionPtr> ParseNameOrConstant();
  absl::StatusOr<ExpressionPtr> ParseString();
  absl::StatusOr<ExpressionPtr> ParseNumber();
  absl::StatusOr<ExpressionPtr> ParseParenthesis();
  absl::StatusOr<ExpressionPtr> ParseListLiteral();
  absl::StatusOr<ExpressionPtr> ParseDictLiteral();
  absl::StatusOr<ExpressionPtr> ParsePostfix(ExpressionPtr node);
  absl::StatusOr<ExpressionPtr> ParseSubscript(ExpressionPtr node);
  absl::StatusOr<ExpressionPtr> ParseFilters(ExpressionPtr node);
  absl::StatusOr<ExpressionPtr> ParseFilter(ExpressionPtr node);
  absl::StatusOr<ExpressionPtr> ParseTest(ExpressionPtr node);
  absl::Status ParseArguments(Expression* node);

  const std::vector<LexToken> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;  // enclosing, of the macro at hand
};

absl::StatusOr<ExpressionPtr> Parser::Finish(ExpressionPtr node) const {
  for (const ExpressionPtr& operand : node->operands) {
    if (operand != nullptr) node->depth = std::max(node->depth, 1 + operand->depth);
  }
  for (const auto& [name, value] : node->keywords) node->depth = std::max(node->depth, 1 + value->depth);
  if (node->depth > kMaxTreeDepth) {
    return Fail(absl::StrCat("an expression nests deeper than ", kMaxTreeDepth, " levels"));
  }
  return node;
}

// ---- statements

absl::StatusOr<std::string> Parser::ParseBody(const std::vector<absl::string_view>& ends, Body* body) {
  Level level(&depth_);
  LASTRO_RETURN_IF_ERROR(CheckDepth());
  for (;;) {
    switch (Peek().kind) {
      case Token::kEnd:
        if (ends.empty()) return std::string();
        return Unexpected(absl::StrCat("'{% ", absl::StrJoin(ends, " %}' or '{% "), " %}'"));
      case Token::kData: {
        Statement text = NewStatement(Statement::Kind::kText, Peek().line);
        text.text = Text(Next().text, true);
        body->push_back(std::move(text));
        break;
      }
      case Token::kVariableBegin:
        LASTRO_RETURN_IF_ERROR(ParsePrint(body));
        break;
      default: {
        const int line = Next().line;  // {%
        LASTRO_ASSIGN_OR_RETURN(std::string name, ExpectName());
        if (std::find(ends.begin(), ends.end(), name) != ends.end()) return name;
        LASTRO_RETURN_IF_ERROR(ParseStatement(name, line, body));
      }
    }
  }
}

absl::Status Parser::ParsePrint(Body* body) {
  Statement print = NewStatement(Statement::Kind::kPrint, Next().line);
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr value, ParseTuple());
  print.expressions.push_back(std::move(value));
  if (Peek().kind != Token::kVariableEnd) return Unexpected("'}}'");
  Next();
  body->push_back(std::move(print));
  return absl::OkStatus();
}

absl::Status Parser::ParseStatement(const std::string& name, int line, Body* body) {
  Statement statement = NewStatement(Statement::Kind::kScope, line);
  absl::Status status;
  if (name == "if") {
    status = ParseIf(&statement);
  } else if (name == "for") {
    status = ParseFor(&statement);
  } else if (name == "set") {
    status = ParseSet(&statement);
  } else if (name == "macro") {
    status = ParseMacro(&statement);
  } else if (name == "call") {
    status = ParseCallBlock(&statement);
  } else if (name == "filter") {
    status = ParseFilterBlock(&statement);
  } else if (name == "generation") {  // marks the assistant's tokens for training; prints its body
    status = ParseBlock("endgeneration", &statement);
  } else if (name == "break" || name == "continue") {
    if (loops_ == 0) return Fail(absl::StrCat("'", name, "' outside of a loop"));
    statement.kind = name == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue;
    status = ExpectBlockEnd();
  } else if (name.rfind("end", 0) == 0 || name == "else" || name == "elif") {
    return Fail(absl::StrCat("'{% ", name, " %}' closes nothing"));
  } else {
    return Unsupported("statement", name, line);
  }
  LASTRO_RETURN_IF_ERROR(status);
  body->push_back(std::move(statement));
  return absl::OkStatus();
}

absl::Status Parser::ParseBlock(absl::string_view end, Statement* statement) {
  LASTRO_RETURN_IF_ERROR(ExpectBlockEnd());
  LASTRO_RETURN_IF_ERROR(ParseBody({end}, &statement->bodies.emplace_back()).status());
  return ExpectBlockEnd();
}

absl::Status Parser::ParseIf(Statement* statement) {
  statement->kind = Statement::Kind::kIf;
  for (;;) {
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr condition, ParseTuple());
    statement->expressions.push_back(std::move(condition));
    LASTRO_RETURN_IF_ERROR(ExpectBlockEnd());
    LASTRO_ASSIGN_OR_RETURN(std::string end, ParseBody({"elif", "else", "endif"}, &statement->bodies.emplace_back()));
    if (end == "else") return ParseBlock("endif", statement);
    if (end == "endif") return ExpectBlockEnd();
  }
}

absl::Status Parser::ParseFor(Statement* statement) {
  statement->kind = Statement::Kind::kFor;
  LASTRO_ASSIGN_OR_RETURN(statement->target, ParseTarget());
  if (!statement->target.attribute.empty()) return Fail("a for loop cannot bind an attribute");
  if (!AcceptName("in")) return Unexpected("'in'");
  // Not a conditional expression: an `if` here filters the loop.
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr sequence, ParseOr());
  statement->expressions.push_back(std::move(sequence));
  statement->expressions.push_back(nullptr);
  if (AcceptName("if")) {
    LASTRO_ASSIGN_OR_RETURN(statement->expressions[1], ParseExpression());
  }
  if (Peek().IsName("recursive")) return Unsupported("loop modifier", "recursive", Peek().line);
  LASTRO_RETURN_IF_ERROR(ExpectBlockEnd());
  ++loops_;
  absl::StatusOr<std::string> end = ParseBody({"else", "endfor"}, &statement->bodies.emplace_back());
  --loops_;
  LASTRO_RETURN_IF_ERROR(end.status());
  return *end == "else" ? ParseBlock("endfor", statement) : ExpectBlockEnd();
}

absl::StatusOr<Target> Parser::ParseTarget() {
  Target target;
  const bool parenthesis = Accept("(");
  do {
    LASTRO_ASSIGN_OR_RETURN(std::string name, ExpectName());
    if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
      return Fail(absl::StrCat("'", name, "' cannot be assigned to"));
    }
    target.names.push_back(std::move(name));
    if (target.names.size() == 1 && Accept(".")) {
      LASTRO_ASSIGN_OR_RETURN(target.attribute, ExpectName());
      break;
    }
  } while (Accept(","));
  if (parenthesis) LASTRO_RETURN_IF_ERROR(Expect(")"));
  return target;
}

absl::Status Parser::ParseSet(Statement* statement) {
  LASTRO_ASSIGN_OR_RETURN(statement->target, ParseTarget());
  if (Accept("=")) {
    statement->kind = Statement::Kind::kSet;
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr value, ParseTuple());
    statement->expressions.push_back(std::move(value));
    return ExpectBlockEnd();
  }
  statement->kind = Statement::Kind::kSetBlock;
  if (statement->target.names.size() > 1) return Unexpected("'='");
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr filters, ParseFilters(nullptr));
  statement->expressions.push_back(std::move(filters));
  return ParseBlock("endset", statement);
}

absl::Status Parser::ParseParameters(Statement* statement) {
  LASTRO_RETURN_IF_ERROR(Expect("("));
  while (!Accept(")")) {
    if (!statement->parameters.empty()) LASTRO_RETURN_IF_ERROR(Expect(","));
    LASTRO_ASSIGN_OR_RETURN(std::string name, ExpectName());
    statement->parameters.push_back(std::move(name));
    ExpressionPtr otherwise;
    if (Accept("=")) {
      LASTRO_ASSIGN_OR_RETURN(otherwise, ParseExpression());
    }
    statement->expressions.push_back(std::move(otherwise));
  }
  return absl::OkStatus();
}

absl::Status Parser::ParseMacro(Statement* statement) {
  statement->kind = Statement::Kind::kMacro;
  LASTRO_ASSIGN_OR_RETURN(statement->name, ExpectName());
  LASTRO_RETURN_IF_ERROR(ParseParameters(statement));
  const int loops = std::exchange(loops_, 0);
  absl::Status status = ParseBlock("endmacro", statement);
  loops_ = loops;
  return status;
}

absl::Status Parser::ParseCallBlock(Statement* statement) {
  statement->kind = Statement::Kind::kCall;
  if (Peek().Is("(")) return Unsupported("statement", "call with parameters", Peek().line);
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr call, ParseExpression());
  if (call->kind != Kind::kCall) return Fail("'call' needs the call of a macro");
  statement->expressions.push_back(std::move(call));
  const int loops = std::exchange(loops_, 0);
  absl::Status status = ParseBlock("endcall", statement);
  loops_ = loops;
  return status;
}

absl::Status Parser::ParseFilterBlock(Statement* statement) {
  statement->kind = Statement::Kind::kFilter;
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr filters, ParseFilter(nullptr));
  LASTRO_ASSIGN_OR_RETURN(filters, ParseFilters(std::move(filters)));
  statement->expressions.push_back(std::move(filters));
  return ParseBlock("endfilter", statement);
}

// ---- expressions

absl::StatusOr<ExpressionPtr> Parser::ParseTuple() {
  const int line = Peek().line;
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr first, ParseExpression());
  if (!Peek().Is(",")) return first;
  ExpressionPtr tuple = NewExpression(Kind::kTuple, line);
  tuple->operands.push_back(std::move(first));
  while (Accept(",")) {
    const LexToken& next = Peek();
    if (next.kind == Token::kVariableEnd || next.kind == Token::kBlockEnd || next.Is(")")) break;
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr item, ParseExpression());
    tuple->operands.push_back(std::move(item));
  }
  return Finish(std::move(tuple));
}

absl::StatusOr<ExpressionPtr> Parser::ParseExpression() {
  Level level(&depth_);
  LASTRO_RETURN_IF_ERROR(CheckDepth());
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr value, ParseOr());
  while (Peek().IsName("if")) {
    ExpressionPtr node = NewExpression(Kind::kConditional, Next().line);
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr condition, ParseOr());
    ExpressionPtr otherwise;
    if (AcceptName("else")) {
      LASTRO_ASSIGN_OR_RETURN(otherwise, ParseExpression());
    }
    node->operands.push_back(std::move(condition));
    node->operands.push_back(std::move(value));
    node->operands.push_back(std::move(otherwise));
    LASTRO_ASSIGN_OR_RETURN(value, Finish(std::move(node)));
  }
  return value;
}

absl::StatusOr<ExpressionPtr> Parser::ParseOr() {
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr left, ParseAnd());
  while (Peek().IsName("or")) {
    ExpressionPtr node = NewExpression(Kind::kOr, Next().line);
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr right, ParseAnd());
    node->operands.push_back(std::move(left));
    node->operands.push_back(std::move(right));
    LASTRO_ASSIGN_OR_RETURN(left, Finish(std::move(node)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> Parser::ParseAnd() {
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr left, ParseNot());
  while (Peek().IsName("and")) {
    ExpressionPtr node = NewExpression(Kind::kAnd, Next().line);
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr right, ParseNot());
    node->operands.push_back(std::move(left));
    node->operands.push_back(std::move(right));
    LASTRO_ASSIGN_OR_RETURN(left, Finish(std::move(node)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> Parser::ParseNot() {
  if (!Peek().IsName("not")) return ParseCompare();
  Level level(&depth_);
  LASTRO_RETURN_IF_ERROR(CheckDepth());
  ExpressionPtr node = NewExpression(Kind::kNot, Next().line);
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseNot());
  node->operands.push_back(std::move(operand));
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> Parser::ParseCompare() {
  constexpr absl::string_view kComparisons[] = {"==", "!=", "<", "<=", ">", ">="};
  const int line = Peek().line;
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr first, ParseBinary(0));
  ExpressionPtr node;
  for (;;) {
    std::string name;
    if (Peek().kind == Token::kOperator &&
        std::find(std::begin(kComparisons), std::end(kComparisons), Peek().text) != std::end(kComparisons)) {
      name = Next().text;
    } else if (AcceptName("in")) {
      name = "in";
    } else if (Peek().IsName("not") && Peek(1).IsName("in")) {
      Next(), Next();
      name = "not in";
    } else {
      break;
    }
    if (node == nullptr) {
      node = NewExpression(Kind::kCompare, line);
      node->operands.push_back(std::move(first));
    }
    node->names.push_back(std::move(name));
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr right, ParseBinary(0));
    node->operands.push_back(std::move(right));
  }
  return node == nullptr ? std::move(first) : Finish(std::move(node));
}

// Binary operators, weakest first; all associate to the left, as in Jinja2.
absl::StatusOr<ExpressionPtr> Parser::ParseBinary(size_t level) {
  static const std::vector<absl::string_view> kLevels[] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
  if (level == std::size(kLevels)) return ParseUnary(true);
  const std::vector<absl::string_view>& operators = kLevels[level];
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr left, ParseBinary(level + 1));
  while (Peek().kind == Token::kOperator &&
         std::find(operators.begin(), operators.end(), Peek().text) != operators.end()) {
    ExpressionPtr node = NewExpression(Kind::kBinary, Peek().line);
    node->name = Next().text;
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr right, ParseBinary(level + 1));
    node->operands.push_back(std::move(left));
    node->operands.push_back(std::move(right));
    LASTRO_ASSIGN_OR_RETURN(left, Finish(std::move(node)));
  }
  return left;
}

absl::StatusOr<ExpressionPtr> Parser::ParseUnary(bool with_filter) {
  ExpressionPtr node;
  if (Peek().Is("-") || Peek().Is("+")) {
    Level level(&depth_);
    LASTRO_RETURN_IF_ERROR(CheckDepth());
    node = NewExpression(Peek().Is("-") ? Kind::kNegate : Kind::kPlus, Peek().line);
    Next();
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr operand, ParseUnary(false));
    node->operands.push_back(std::move(operand));
    LASTRO_ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  } else {
    LASTRO_ASSIGN_OR_RETURN(node, ParsePrimary());
  }
  LASTRO_ASSIGN_OR_RETURN(node, ParsePostfix(std::move(node)));
  return with_filter ? ParseFilters(std::move(node)) : std::move(node);
}

absl::StatusOr<ExpressionPtr> Parser::ParsePrimary() {
  switch (Peek().kind) {
    case Token::kName:
      return ParseNameOrConstant();
    case Token::kString:
      return ParseString();
    case Token::kInteger:
    case Token::kFloat:
      return ParseNumber();
    default:
      break;
  }
  if (Peek().Is("(")) return ParseParenthesis();
  if (Peek().Is("[")) return ParseListLiteral();
  if (Peek().Is("{")) return ParseDictLiteral();
  return Unexpected("an expression");
}

absl::StatusOr<ExpressionPtr> Parser::ParseNameOrConstant() {
  const absl::string_view name = Peek().text;
  if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
    return Unexpected("an expression");
  }
  ExpressionPtr node = NewExpression(Kind::kLiteral, Peek().line);
  if (name == "true" || name == "True") {
    node->literal = Value(true);
  } else if (name == "false" || name == "False") {
    node->literal = Value(false);
  } else if (name == "none" || name == "None") {
    node->literal = Value::None();
  } else {
    node->kind = Kind::kName;
    node->name = std::string(name);
  }
  Next();
  return node;
}

absl::StatusOr<ExpressionPtr> Parser::ParseString() {
  ExpressionPtr node = NewExpression(Kind::kLiteral, Peek().line);
  Text text;
  while (Peek().kind == Token::kString) text.Append(Next().text, true);  // adjacent literals join
  node->literal = Value(std::move(text));
  return node;
}

absl::StatusOr<ExpressionPtr> Parser::ParseNumber() {
  ExpressionPtr node = NewExpression(Kind::kLiteral, Peek().line);
  int64_t integer = 0;
  double real = 0;
  if (Peek().kind == Token::kInteger) {
    if (!absl::SimpleAtoi(Peek().text, &integer)) return Fail(absl::StrCat(Peek().text, " is beyond 64 bits"));
    node->literal = Value(integer);
  } else {
    if (!absl::SimpleAtod(Peek().text, &real)) return Fail(absl::StrCat(Peek().text, " is no number"));
    node->literal = Value(real);
  }
  Next();
  return node;
}

absl::StatusOr<ExpressionPtr> Parser::ParseParenthesis() {
  const int line = Next().line;
  if (Accept(")")) return NewExpression(Kind::kTuple, line);
  LASTRO_ASSIGN_OR_RETURN(ExpressionPtr node, ParseTuple());
  LASTRO_RETURN_IF_ERROR(Expect(")"));
  return node;
}

absl::StatusOr<ExpressionPtr> Parser::ParseListLiteral() {
  ExpressionPtr node = NewExpression(Kind::kList, Next().line);
  while (!Accept("]")) {
    if (!node->operands.empty()) LASTRO_RETURN_IF_ERROR(Expect(","));
    if (Accept("]")) break;
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr item, ParseExpression());
    node->operands.push_back(std::move(item));
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> Parser::ParseDictLiteral() {
  ExpressionPtr node = NewExpression(Kind::kDict, Next().line);
  while (!Accept("}")) {
    if (!node->operands.empty()) LASTRO_RETURN_IF_ERROR(Expect(","));
    if (Accept("}")) break;
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr key, ParseExpression());
    LASTRO_RETURN_IF_ERROR(Expect(":"));
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr value, ParseExpression());
    node->operands.push_back(std::move(key));
    node->operands.push_back(std::move(value));
  }
  return Finish(std::move(node));
}

absl::StatusOr<ExpressionPtr> Parser::ParsePostfix(ExpressionPtr node) {
  for (;;) {
    if (Peek().Is(".")) {
      ExpressionPtr attribute = NewExpression(Kind::kAttribute, Next().line);
      attribute->operands.push_back(std::move(node));
      if (Peek().kind == Token::kInteger) {  // a.0 is a[0]
        attribute->kind = Kind::kItem;
        LASTRO_ASSIGN_OR_RETURN(ExpressionPtr index, ParseNumber());
        attribute->operands.push_back(std::move(index));
      } else {
        LASTRO_ASSIGN_OR_RETURN(attribute->name, ExpectName());
      }
      LASTRO_ASSIGN_OR_RETURN(node, Finish(std::move(attribute)));
    } else if (Peek().Is("[")) {
      LASTRO_ASSIGN_OR_RETURN(node, ParseSubscript(std::move(node)));
    } else if (Peek().Is("(")) {
      ExpressionPtr call = NewExpression(Kind::kCall, Peek().line);
      call->operands.push_back(std::move(node));
      LASTRO_RETURN_IF_ERROR(ParseArguments(call.get()));
      LASTRO_ASSIGN_OR_RETURN(node, Finish(std::move(call)));
    } else {
      return node;
    }
  }
}

absl::StatusOr<ExpressionPtr> Parser::ParseSubscript(ExpressionPtr node) {
  ExpressionPtr item = NewExpression(Kind::kItem, Next().line);
  item->operands.push_back(std::move(node));
  ExpressionPtr parts[3];
  size_t colons = 0;
  while (!Peek().Is("]")) {
    if (Peek().Is(":")) {
      Next();
      if (++colons > 2) return Unexpected("']'");
    } else if (parts[colons] != nullptr) {
      return Unexpected("']'");
    } else {
      LASTRO_ASSIGN_OR_RETURN(parts[colons], ParseExpression());
    }
  }
  Next();
  if (colons == 0 && parts[0] == nullptr) return Fail("an empty subscript");
  if (colons > 0) item->kind = Kind::kSlice;
  for (size_t i = 0; i < (colons > 0 ? 3 : 1); ++i) item->operands.push_back(std::move(parts[i]));
  return Finish(std::move(item));
}

// Filters, tests and calls of their results. `node` may be null at the start of a block set's filters.
absl::StatusOr<ExpressionPtr> Parser::ParseFilters(ExpressionPtr node) {
  for (;;) {
    if (Accept("|")) {
      LASTRO_ASSIGN_OR_RETURN(node, ParseFilter(std::move(node)));
    } else if (node != nullptr && Peek().IsName("is")) {
      LASTRO_ASSIGN_OR_RETURN(node, ParseTest(std::move(node)));
    } else if (node != nullptr && Peek().Is("(")) {
      LASTRO_ASSIGN_OR_RETURN(node, ParsePostfix(std::move(node)));
    } else {
      return node;
    }
  }
}

absl::StatusOr<ExpressionPtr> Parser::ParseFilter(ExpressionPtr node) {
  ExpressionPtr filter = NewExpression(Kind::kFilter, Peek().line);
  LASTRO_ASSIGN_OR_RETURN(filter->name, ExpectName());
  if (!IsFilter(filter->name)) return Unsupported("filter", filter->name, filter->line);
  filter->operands.push_back(std::move(node));
  if (Peek().Is("(")) LASTRO_RETURN_IF_ERROR(ParseArguments(filter.get()));
  return Finish(std::move(filter));
}

absl::StatusOr<ExpressionPtr> Parser::ParseTest(ExpressionPtr node) {
  ExpressionPtr test = NewExpression(Kind::kTest, Next().line);
  const bool negated = AcceptName("not");
  LASTRO_ASSIGN_OR_RETURN(test->name, ExpectName());
  if (!IsTest(test->name)) return Unsupported("test", test->name, test->line);
  test->operands.push_back(std::move(node));
  const LexToken& next = Peek();
  const bool reserved = std::find(std::begin(kReserved), std::end(kReserved), next.text) != std::end(kReserved);
  if (next.Is("(")) {
    LASTRO_RETURN_IF_ERROR(ParseArguments(test.get()));
  } else if ((next.kind == Token::kName && !reserved) || next.kind == Token::kString || next.kind == Token::kInteger ||
             next.kind == Token::kFloat || next.Is("[") || next.Is("{")) {
    Level level(&depth_);
    LASTRO_RETURN_IF_ERROR(CheckDepth());
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr argument, ParsePrimary());
    LASTRO_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    test->operands.push_back(std::move(argument));
  }
  LASTRO_ASSIGN_OR_RETURN(test, Finish(std::move(test)));
  if (!negated) return test;
  ExpressionPtr negation = NewExpression(Kind::kNot, test->line);
  negation->operands.push_back(std::move(test));
  return Finish(std::move(negation));
}

absl::Status Parser::ParseArguments(Expression* node) {
  LASTRO_RETURN_IF_ERROR(Expect("("));
  for (bool first = true; !Accept(")"); first = false) {
    if (!first) {
      LASTRO_RETURN_IF_ERROR(Expect(","));
      if (Accept(")")) break;
    }
    if (Peek().Is("*") || Peek().Is("**")) return Unsupported("argument form", Peek().text, Peek().line);
    if (Peek().kind == Token::kName && Peek(1).Is("=")) {
      std::string name = Next().text;
      Next();
      LASTRO_ASSIGN_OR_RETURN(ExpressionPtr value, ParseExpression());
      node->keywords.emplace_back(std::move(name), std::move(value));
      continue;
    }
    if (!node->keywords.empty()) return Fail("a positional argument after keyword arguments");
    LASTRO_ASSIGN_OR_RETURN(ExpressionPtr value, ParseExpression());
    node->operands.push_back(std::move(value));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Body> ParseTemplate(absl::string_view source) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<LexToken> tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace lastro::engine::chat
