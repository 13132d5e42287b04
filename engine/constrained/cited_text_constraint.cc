#include "engine/constrained/cited_text_constraint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "engine/constrained/quotable_text.h"

namespace lastro::engine::constrained {
namespace {

constexpr size_t kMaxKeptMasks = 64;
constexpr double kSurelyNone = 10;  // times as likely as any text
constexpr char kOpens = QuotableText::kBarrier;
constexpr float kNever = -std::numeric_limits<float>::infinity();

struct QuotePair {
  absl::string_view open, close;
};
// The last one stands for the ends of a text that is all quote.
constexpr std::array<QuotePair, 5> kPairs = {{{"\"", "\""}, {"“", "”"}, {"„", "“"}, {"«", "»"}, {"", ""}}};
constexpr size_t kNoMarks = kPairs.size() - 1;

// Where a text stands.
struct State {
  enum class Place : uint8_t { kText, kCitation, kQuote, kBeforeQuote };  // the last one: of a text that is all quote
  Place place = Place::kText;
  uint8_t pair = 0;         // of a quote
  bool closes = false;      // of a quote: `rune` may be the beginning of its closing mark
  uint8_t rune_bytes = 0;   // of the code point that is not whole yet
  uint32_t rune = 0;        // these bytes, the last one lowest
  uint32_t number = 0;      // of a citation; 0: no digit yet
  QuotableText::Run run{};  // of a quote: all of it; empty while only its closing mark can follow

  friend bool operator==(const State& a, const State& b) {
    return a.place == b.place && a.pair == b.pair && a.closes == b.closes && a.rune_bytes == b.rune_bytes &&
           a.rune == b.rune && a.number == b.number && a.run == b.run;
  }
  template <typename H>
  friend H AbslHashValue(H h, const State& s) {
    return H::combine(std::move(h), s.place, s.pair, s.closes, s.rune_bytes, s.rune, s.number, s.run);
  }
};
using Place = State::Place;

// The open code point of a state and one byte more.
class OpenRune {
 public:
  OpenRune(const State& state, uint8_t byte) : size_(state.rune_bytes + 1u) {
    for (size_t i = 0; i < state.rune_bytes; ++i) {
      bytes_[i] = static_cast<char>(state.rune >> (8 * (state.rune_bytes - 1u - i)));
    }
    bytes_[state.rune_bytes] = static_cast<char>(byte);
    if (size_ == 1 && byte < 0x80) {
      whole_ = valid_ = true;
    } else {
      const DecodedRune decoded = DecodeRune(bytes());
      whole_ = decoded.valid && decoded.length == size_;
      valid_ = whole_ || CompleteUtf8Prefix(bytes()) == 0;
    }
  }

  absl::string_view bytes() const { return absl::string_view(bytes_.data(), size_); }
  bool whole() const { return whole_; }
  bool valid() const { return valid_; }  // whole, or the beginning of one
  void KeepIn(State* state) const {
    state->rune_bytes = whole_ ? 0 : static_cast<uint8_t>(size_);
    state->rune = 0;
    for (size_t i = 0; i < state->rune_bytes; ++i) state->rune = state->rune << 8 | static_cast<uint8_t>(bytes_[i]);
  }

 private:
  std::array<char, 4> bytes_{};
  size_t size_;
  bool whole_ = false, valid_ = false;
};

// What may be quoted, between one pair of marks, by tokens of the vocabulary.
struct QuotesOfPair {
  bool usable = false;
  std::vector<bool> leads_on;  // of each byte of the text: some tokens lead on from before it, to the end of the quote
};

class CitedTextConstraint : public TokenConstraint {
 public:
  CitedTextConstraint(const CitedVocabulary& vocabulary, const CitedTextOptions& options);

  absl::Status Mask(absl::Span<const int32_t> end_ids, absl::Span<float> logits) override;
  absl::Status Accept(int32_t id) override;
  bool MayEnd() const override;
  bool MustEnd() const override { return false; }

 private:
  // The ids that can follow, or where most can, those that cannot.
  struct Tokens {
    bool can_follow = false;
    std::vector<int32_t> ids;
  };

  // The state behind `byte`; nullopt when it cannot follow.
  std::optional<State> Next(const State& state, uint8_t byte) const;
  State QuoteBetween(size_t pair) const;  // before its first byte
  std::optional<State> NextInText(const State& state, uint8_t byte) const;
  std::optional<State> NextInCitation(const State& state, uint8_t byte) const;
  std::optional<State> NextInQuote(const State& state, uint8_t byte) const;
  // The state behind a whole token: also, tokens lead on from there.
  std::optional<State> Behind(const State& state, absl::string_view bytes) const;
  bool LeadsOn(const State& state) const;
  bool CanCiteAtAll() const;
  void FindQuotes(size_t pair);
  bool TokensLeadOn(const QuotesOfPair& quotes, absl::string_view close, size_t at) const;

  Tokens FreeTokens() const;
  Tokens WalkTrie() const;
  const Tokens& TokensHere();
  void DropUnlikelyEnds(size_t ends);

  const CitedVocabulary& vocabulary_;
  const uint32_t passages_;
  std::optional<QuotableText> quotable_;
  std::array<QuotesOfPair, kPairs.size()> quotes_;
  State state_;
  absl::flat_hash_map<State, Tokens> kept_;
  std::vector<std::pair<size_t, float>> spared_;  // scratch of Mask
};

CitedTextConstraint::CitedTextConstraint(const CitedVocabulary& vocabulary, const CitedTextOptions& options)
    : vocabulary_(vocabulary), passages_(CanCiteAtAll() ? static_cast<uint32_t>(options.passages) : 0) {
  if (!options.verbatim_quotes) return;
  quotable_.emplace(options.texts, /*by_sentences=*/options.all_quote);
  if (options.all_quote) {
    state_.place = Place::kBeforeQuote;
    FindQuotes(kNoMarks);
    return;
  }
  for (size_t pair = 0; pair < kNoMarks; ++pair) FindQuotes(pair);
}

bool CitedTextConstraint::MayEnd() const {
  if (state_.place == Place::kBeforeQuote) return true;
  if (state_.rune_bytes > 0) return false;
  if (state_.place != Place::kQuote) return state_.place == Place::kText;
  return state_.pair == kNoMarks && state_.run.length > 0 && quotable_->AnyBehind(state_.run, quotable_->ends());
}

bool CitedTextConstraint::CanCiteAtAll() const { return vocabulary_.HasEachByte("0123456789]"); }

// From the last byte backwards: a place leads on when a quote may end there, or a token leads from there to one that
// does.
void CitedTextConstraint::FindQuotes(size_t pair) {
  const absl::string_view text = quotable_->text(), close = kPairs[pair].close;
  QuotesOfPair& quotes = quotes_[pair];
  if (!close.empty() && !vocabulary_.Spells(close)) return;
  quotes.leads_on.resize(text.size());
  std::vector<bool> begins(text.size());
  size_t inside = 0;  // the next place is within a closing mark of which so many bytes are before it
  for (size_t at = text.size(); at-- > 0;) {
    if (absl::EndsWith(text.substr(0, at + 1), close)) inside = close.size();
    if (inside > 1) {
      --inside;
      continue;
    }
    inside = 0;
    begins[at] = TokensLeadOn(quotes, close, at);
    quotes.leads_on[at] = begins[at] || quotable_->ends()[at];
  }
  quotes.usable = quotable_->AnyBehind(quotable_->Beginnings(), begins);
}

// Whether a token stands at text[at] behind which the quote goes on.
bool CitedTextConstraint::TokensLeadOn(const QuotesOfPair& quotes, absl::string_view close, size_t at) const {
  const absl::string_view text = quotable_->text();
  const std::vector<TokenTrie::Node>& nodes = vocabulary_.trie().nodes();
  for (uint32_t node = 0; at < text.size(); ++at) {
    if (text[at] == QuotableText::kBarrier) return false;
    if (!close.empty() && absl::StartsWith(text.substr(at), close)) return false;
    node = vocabulary_.Child(node, static_cast<uint8_t>(text[at]));
    if (node == 0) return false;
    if (nodes[node].first_token < nodes[node].last_token && quotes.leads_on[at + 1]) return true;
  }
  return false;
}

std::optional<State> CitedTextConstraint::Next(const State& state, uint8_t byte) const {
  switch (state.place) {
    case Place::kText:
      return NextInText(state, byte);
    case Place::kCitation:
      return NextInCitation(state, byte);
    case Place::kQuote:
      return NextInQuote(state, byte);
    case Place::kBeforeQuote: {
      if (!quotes_[kNoMarks].usable) return std::nullopt;
      const State quote = QuoteBetween(kNoMarks);
      return byte == ' ' ? quote : NextInQuote(quote, byte);
    }
  }
  return std::nullopt;
}

State CitedTextConstraint::QuoteBetween(size_t pair) const {
  State quote;
  quote.place = Place::kQuote;
  quote.pair = static_cast<uint8_t>(pair);
  quote.run = quotable_->Beginnings();
  return quote;
}

std::optional<State> CitedTextConstraint::NextInText(const State& state, uint8_t byte) const {
  State next;
  const OpenRune rune(state, byte);
  if (!rune.valid()) return std::nullopt;
  rune.KeepIn(&next);
  if (rune.bytes() == absl::string_view(&kOpens, 1)) {
    if (passages_ == 0) return std::nullopt;
    next.place = Place::kCitation;
    return next;
  }
  if (!rune.whole() || !quotable_.has_value()) return next;
  for (size_t pair = 0; pair < kNoMarks; ++pair) {
    if (rune.bytes() != kPairs[pair].open) continue;
    if (!quotes_[pair].usable) return std::nullopt;
    return QuoteBetween(pair);
  }
  return next;
}

std::optional<State> CitedTextConstraint::NextInCitation(const State& state, uint8_t byte) const {
  State next = state;
  if (byte == ']') {
    if (state.number == 0) return std::nullopt;
    return State();
  }
  if (!absl::ascii_isdigit(byte)) return std::nullopt;
  next.number = state.number * 10 + (byte - '0');
  // Numbers that some number of a passage begins with are themselves numbers of passages.
  if (next.number == 0 || next.number > passages_) return std::nullopt;
  return next;
}

std::optional<State> CitedTextConstraint::NextInQuote(const State& state, uint8_t byte) const {
  const absl::string_view close = kPairs[state.pair].close;
  const OpenRune rune(state, byte);
  const bool may_close = state.rune_bytes > 0
                             ? state.closes
                             : state.run.length > 0 && !state.run.empty() && absl::StartsWith(close, rune.bytes()) &&
                                   quotable_->AnyBehind(state.run, quotable_->ends());
  State next = state;
  next.closes = may_close && absl::StartsWith(close, rune.bytes());
  if (rune.bytes() == close) return next.closes ? std::optional<State>(State()) : std::nullopt;
  next.run = quotable_->Extend(state.run, byte);
  if (next.run.empty() && !next.closes) return std::nullopt;
  rune.KeepIn(&next);
  if (rune.whole()) next.closes = false;
  return next;
}

bool CitedTextConstraint::LeadsOn(const State& state) const {
  const bool completes = state.rune_bytes > 0 && vocabulary_.completes_code_points();
  switch (state.place) {
    case Place::kText:
      return state.rune_bytes == 0 || completes;
    case Place::kCitation:
    case Place::kBeforeQuote:
      return true;
    case Place::kQuote:
      if (state.closes && completes) return true;
      if (state.run.empty()) return false;
      return state.run.length == 0 || quotable_->AnyBehind(state.run, quotes_[state.pair].leads_on);
  }
  return false;
}

std::optional<State> CitedTextConstraint::Behind(const State& state, absl::string_view bytes) const {
  std::optional<State> at = state;
  for (char byte : bytes) {
    at = Next(*at, static_cast<uint8_t>(byte));
    if (!at.has_value()) return at;
  }
  return LeadsOn(*at) ? at : std::nullopt;
}

// In free text almost everything can follow.
CitedTextConstraint::Tokens CitedTextConstraint::FreeTokens() const {
  Tokens tokens = {false, vocabulary_.silent()};
  for (int32_t id : vocabulary_.careful()) {
    if (!Behind(state_, vocabulary_.trie().BytesOf(id)).has_value()) tokens.ids.push_back(id);
  }
  return tokens;
}

CitedTextConstraint::Tokens CitedTextConstraint::WalkTrie() const {
  Tokens tokens = {true, {}};
  const TokenTrie& trie = vocabulary_.trie();
  const std::vector<TokenTrie::Node>& nodes = trie.nodes();
  // The states along the path to the node at hand, and where the part of the trie below each ends.
  std::vector<std::pair<State, uint32_t>> path = {{state_, nodes[0].next}};
  for (uint32_t i = 1; i < nodes.size();) {
    while (path.back().second <= i) path.pop_back();
    const std::optional<State> next = Next(path.back().first, nodes[i].byte);
    if (!next.has_value()) {
      i = nodes[i].next;
      continue;
    }
    const bool ends = nodes[i].first_token < nodes[i].last_token && LeadsOn(*next);
    for (uint32_t t = nodes[i].first_token; ends && t < nodes[i].last_token; ++t)
      tokens.ids.push_back(trie.tokens()[t]);
    path.emplace_back(*next, nodes[i].next);
    ++i;
  }
  return tokens;
}

const CitedTextConstraint::Tokens& CitedTextConstraint::TokensHere() {
  if (auto at = kept_.find(state_); at != kept_.end()) return at->second;
  if (kept_.size() == kMaxKeptMasks) kept_.clear();
  const bool in_free_text = state_.place == Place::kText && state_.rune_bytes == 0;
  return kept_.emplace(state_, in_free_text ? FreeTokens() : WalkTrie()).first->second;
}

absl::Status CitedTextConstraint::Mask(absl::Span<const int32_t> end_ids, absl::Span<float> logits) {
  const Tokens& tokens = TokensHere();
  spared_.clear();
  auto spare = [&](int32_t id) {
    const auto at = static_cast<size_t>(id);
    if (id >= 0 && at < logits.size()) spared_.emplace_back(at, logits[at]);
  };
  if (MayEnd()) std::for_each(end_ids.begin(), end_ids.end(), spare);
  if (tokens.can_follow) {
    const size_t ends = spared_.size();
    std::for_each(tokens.ids.begin(), tokens.ids.end(), spare);
    if (state_.place == Place::kBeforeQuote) DropUnlikelyEnds(ends);
    if (spared_.empty()) return absl::FailedPreconditionError("no token of the vocabulary can follow");
    std::fill(logits.begin(), logits.end(), kNever);
  } else {
    const auto known = std::min(logits.size(), static_cast<size_t>(vocabulary_.trie().vocab_size()));
    std::fill(logits.begin() + static_cast<ptrdiff_t>(known), logits.end(), kNever);
    for (int32_t id : tokens.ids) {
      if (static_cast<size_t>(id) < known) logits[static_cast<size_t>(id)] = kNever;
    }
  }
  for (const auto& [id, logit] : spared_) logits[id] = logit;
  return absl::OkStatus();
}

// Of spared_ the first `ends`. What is asked was found to be answered before, by a better judge than a model that was
// made to quote; and a choice of many sentences shares what is likely among them.
void CitedTextConstraint::DropUnlikelyEnds(size_t ends) {
  float largest = kNever;
  for (const auto& [id, logit] : spared_) largest = std::max(largest, logit);
  double of_ends = 0, of_texts = 0;
  for (size_t i = 0; i < spared_.size() && largest > kNever; ++i) {
    (i < ends ? of_ends : of_texts) += std::exp(static_cast<double>(spared_[i].second) - largest);
  }
  if (of_ends <= kSurelyNone * of_texts) spared_.erase(spared_.begin(), spared_.begin() + static_cast<ptrdiff_t>(ends));
}

absl::Status CitedTextConstraint::Accept(int32_t id) {
  const bool known = id >= 0 && id < vocabulary_.trie().vocab_size() && !vocabulary_.trie().BytesOf(id).empty();
  const std::optional<State> next = known ? Behind(state_, vocabulary_.trie().BytesOf(id)) : std::nullopt;
  if (!next.has_value()) return absl::InvalidArgumentError(absl::StrCat("token ", id, " cannot follow"));
  state_ = *next;
  return absl::OkStatus();
}

}  // namespace

CitedVocabulary::CitedVocabulary(const TokenTrie& trie) : trie_(trie) {
  for (int byte = 0x80; byte < 0xC0; ++byte) {
    const char c = static_cast<char>(byte);
    completes_code_points_ &= HasToken(absl::string_view(&c, 1));
  }
  auto is_careful = [](const std::string& bytes) {
    if (absl::StrContains(bytes, kOpens) || !IsValidUtf8(bytes)) return true;
    return std::any_of(kPairs.begin(), kPairs.end(),
                       [&](const QuotePair& pair) { return absl::StrContains(bytes, pair.open); });
  };
  for (int32_t id = 0; id < trie.vocab_size(); ++id) {
    if (trie.BytesOf(id).empty()) {
      silent_.push_back(id);
    } else if (is_careful(trie.BytesOf(id))) {
      careful_.push_back(id);
    }
  }
}

uint32_t CitedVocabulary::Child(uint32_t node, uint8_t byte) const {
  const std::vector<TokenTrie::Node>& nodes = trie_.nodes();
  for (uint32_t child = node + 1; child < nodes[node].next; child = nodes[child].next) {
    if (nodes[child].byte == byte) return child;
  }
  return 0;
}

bool CitedVocabulary::HasToken(absl::string_view bytes) const {
  uint32_t node = 0;
  for (char byte : bytes) {
    node = Child(node, static_cast<uint8_t>(byte));
    if (node == 0) return false;
  }
  return trie_.nodes()[node].first_token < trie_.nodes()[node].last_token;
}

bool CitedVocabulary::HasEachByte(absl::string_view bytes) const {
  return std::all_of(bytes.begin(), bytes.end(),
                     [this](const char& byte) { return HasToken(absl::string_view(&byte, 1)); });
}

std::unique_ptr<TokenConstraint> NewCitedTextConstraint(const CitedVocabulary& vocabulary,
                                                        const CitedTextOptions& options) {
  return std::make_unique<CitedTextConstraint>(vocabulary, options);
}

}  // namespace lastro::engine::constrained
