// The tree of a parsed template. Built by the parser, const afterwards; at most kMaxTreeDepth deep, so that functions
// over it may recurse.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/chat/value.h"

namespace lastro::engine::chat {

inline constexpr int kMaxTreeDepth = 150;

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    kLiteral,      // literal
    kName,         // name
    kAttribute,    // operands[0].name
    kItem,         // operands[0][operands[1]]
    kSlice,        // operands[0][operands[1]:operands[2]:operands[3]]; those left out are null
    kCall,         // operands[0](operands[1..], keywords)
    kFilter,       // operands[0]|name(operands[1..], keywords); in a filter block operands[0] is null
    kTest,         // operands[0] is name(operands[1..], keywords)
    kList,         // [operands]
    kTuple,        // (operands)
    kDict,         // {operands[0]: operands[1], ...}
    kNot,          // not operands[0]
    kNegate,       // -operands[0]
    kPlus,         // +operands[0]
    kAnd,          // operands[0] and operands[1]
    kOr,           // operands[0] or operands[1]
    kBinary,       // operands[0] name operands[1]: + - * / // % ** ~
    kCompare,      // operands[0] names[0] operands[1] names[1] operands[2] ...
    kConditional,  // operands[1] if operands[0] else operands[2] (may be null)
  };
  Kind kind;
  int line = 0;
  int depth = 1;
  std::string name;
  std::vector<std::string> names;
  Value literal;
  std::vector<ExpressionPtr> operands;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
};

// What an assignment or a for loop binds: names, or an attribute of a namespace.
struct Target {
  std::vector<std::string> names;  // several: the value is unpacked
  std::string attribute;           // names[0].attribute
};

struct Statement;
using Body = std::vector<Statement>;

struct Statement {
  enum class Kind {
    kText,      // text
    kPrint,     // expressions[0]
    kIf,        // expressions[i] -> bodies[i]; one body more: else
    kFor,       // target in expressions[0] if expressions[1] (may be null); bodies[0], else bodies[1] (may be absent)
    kSet,       // target = expressions[0]
    kSetBlock,  // target = bodies[0], through the filters expressions[0] (may be null)
    kFilter,    // bodies[0] through the filters expressions[0]
    kMacro,     // name(parameters = expressions[i] (may be null)) bodies[0]
    kCall,      // expressions[0], a call, with bodies[0] as its caller()
    kScope,     // bodies[0]
    kBreak,
    kContinue,
  };
  Kind kind;
  int line = 0;
  Text text;
  std::string name;
  Target target;
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> expressions;
  std::vector<Body> bodies;
};

}  // namespace lastro::engine::chat
