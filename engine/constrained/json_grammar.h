// The parts of JSON (RFC 8259) as rules of an Automaton, in the one form that is generated: no white space but one
// space behind ',' and ':' if the model likes it; numbers of at most 18 digits before and behind the point and
// exponents of two, so that every reader takes them. Strings are valid UTF-8; any escape JSON has may be used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/constrained/automaton.h"

namespace lastro::engine::constrained {

// A string as JSON, quotes included, with no escapes but those that are needed: what keys and enum values are matched
// by.
std::string CanonicalString(absl::string_view text);

class JsonGrammar {
 public:
  // `automaton` must outlive the grammar and not be finished.
  explicit JsonGrammar(Automaton* automaton) : automaton_(automaton) {
    automaton_->NewNode();  // node 0, which is nobody's start
  }

  // Rules, each built once; the start node.
  NodeId Any();
  NodeId AnyObject();
  NodeId AnyArray();
  NodeId String();
  NodeId Number();
  NodeId Integer();
  NodeId Boolean();
  NodeId Null();
  // A string of `least` to `most` (-1: any number) code points.
  NodeId StringOfLength(int64_t least, int64_t most);
  // An integer from `low` to `high`. REQUIRES: low <= high, both of at most 18 digits.
  NodeId IntegerBetween(int64_t low, int64_t high);
  // A canonical key other than `names`.
  NodeId KeyOtherThan(const std::vector<std::string>& names);

  // A comma or colon with its optional space.
  NodeId AddSeparator(NodeId from, char separator);
  // Rule that accepts exactly `text`.
  NodeId Literal(absl::string_view text);

 private:
  // One code point of a string, raw or escaped.
  NodeId Character();
  void AddRawCharacters(NodeId from, NodeId to);
  void AddMultiByteCharacters(NodeId from, NodeId to);
  void AddUnicodeEscapes(NodeId from, NodeId to);
  // `count` hexadecimal digits.
  NodeId AddHexDigits(NodeId from, int count);
  void AddHexDigit(NodeId from, int low, int high, NodeId to);
  // `least` to `most` digits.
  NodeId AddDigits(NodeId from, int least, int most);
  NodeId AddIntegerPart(NodeId from);
  void AddByte(NodeId from, char byte, NodeId to);
  // Digits between two numbers of as many digits.
  void AddDigitsBetween(NodeId from, absl::string_view low, absl::string_view high, NodeId to);
  void AddNaturalBetween(NodeId from, uint64_t low, uint64_t high, NodeId to);

  Automaton* automaton_;
  // 0: not built yet.
  NodeId any_ = 0, object_ = 0, array_ = 0, string_ = 0, number_ = 0, integer_ = 0, boolean_ = 0, null_ = 0,
         character_ = 0;
};

}  // namespace lastro::engine::constrained
