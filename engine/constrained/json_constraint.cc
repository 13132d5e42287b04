#include "engine/constrained/json_constraint.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "engine/constrained/schema_compiler.h"

namespace lastro::engine::constrained {
namespace {

constexpr uint64_t kMaxSchemaBytes = 256 << 10;
constexpr size_t kMaxKeptMasks = 256;

class AutomatonConstraint : public TokenConstraint {
 public:
  AutomatonConstraint(std::shared_ptr<const Automaton> automaton, const TokenTrie& trie)
      : automaton_(std::move(automaton)), trie_(trie), matcher_(*automaton_), state_(matcher_.start()) {}

  absl::Status Mask(absl::Span<const int32_t> end_ids, absl::Span<float> logits) override;
  absl::Status Accept(int32_t id) override;
  bool MayEnd() const override { return state_.accepts; }
  bool MustEnd() const override { return state_.accepts && state_.ways.empty(); }

 private:
  using Allowed = std::vector<bool>;  // of ids

  absl::Status CheckLimits() const {
    if (!matcher_.exhausted()) return absl::OkStatus();
    return absl::ResourceExhaustedError("the schema allows too many ways to read the text so far; make it simpler");
  }
  const Allowed& AllowedTokens();
  Allowed WalkTrie();

  const std::shared_ptr<const Automaton> automaton_;
  const TokenTrie& trie_;
  Matcher matcher_;
  Matcher::State state_;
  absl::flat_hash_map<Matcher::State, Allowed> kept_;
};

AutomatonConstraint::Allowed AutomatonConstraint::WalkTrie() {
  Allowed allowed(static_cast<size_t>(trie_.vocab_size()));
  const std::vector<TokenTrie::Node>& nodes = trie_.nodes();
  // The states along the path to the node at hand, and where the part of the trie below each ends.
  std::vector<std::pair<Matcher::State, uint32_t>> path = {{state_, nodes[0].next}};
  for (uint32_t i = 1; i < nodes.size();) {
    while (path.back().second <= i) path.pop_back();
    Matcher::State next = matcher_.Next(path.back().first, nodes[i].byte);
    if (next.dead()) {
      i = nodes[i].next;
      continue;
    }
    for (uint32_t t = nodes[i].first_token; t < nodes[i].last_token; ++t) {
      allowed[static_cast<size_t>(trie_.tokens()[t])] = true;
    }
    path.emplace_back(std::move(next), nodes[i].next);
    ++i;
  }
  return allowed;
}

const AutomatonConstraint::Allowed& AutomatonConstraint::AllowedTokens() {
  if (auto at = kept_.find(state_); at != kept_.end()) return at->second;
  if (kept_.size() == kMaxKeptMasks) kept_.clear();
  return kept_.emplace(state_, WalkTrie()).first->second;
}

absl::Status AutomatonConstraint::Mask(absl::Span<const int32_t> end_ids, absl::Span<float> logits) {
  const Allowed& allowed = AllowedTokens();
  LASTRO_RETURN_IF_ERROR(CheckLimits());
  bool any = false;
  for (size_t id = 0; id < logits.size(); ++id) {
    const bool ends =
        state_.accepts && std::find(end_ids.begin(), end_ids.end(), static_cast<int32_t>(id)) != end_ids.end();
    const bool may = ends || (id < allowed.size() && allowed[id]);
    any |= may;
    if (!may) logits[id] = -std::numeric_limits<float>::infinity();
  }
  if (any) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "no token of the vocabulary can follow; the vocabulary or the schema is too narrow");
}

absl::Status AutomatonConstraint::Accept(int32_t id) {
  const bool known = id >= 0 && id < trie_.vocab_size() && !trie_.BytesOf(id).empty();
  Matcher::State next = known ? matcher_.Next(state_, trie_.BytesOf(id)) : Matcher::State();
  LASTRO_RETURN_IF_ERROR(CheckLimits());
  if (next.dead()) return absl::InvalidArgumentError(absl::StrCat("token ", id, " cannot follow"));
  state_ = std::move(next);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JsonSchema> JsonSchema::Parse(absl::string_view schema_json) {
  LASTRO_ASSIGN_OR_RETURN(JsonDocument document, JsonDocument::Parse(schema_json, "json_schema", kMaxSchemaBytes));
  LASTRO_ASSIGN_OR_RETURN(Automaton automaton, CompileSchema(document.root()));
  return JsonSchema(std::move(automaton));
}

absl::StatusOr<JsonSchema> JsonSchema::AnyObject() {
  LASTRO_ASSIGN_OR_RETURN(Automaton automaton, CompileJsonObject());
  return JsonSchema(std::move(automaton));
}

bool JsonSchema::Matches(absl::string_view text) const {
  Matcher matcher(*automaton_);
  return matcher.Next(matcher.start(), text).accepts && !matcher.exhausted();
}

std::unique_ptr<TokenConstraint> JsonSchema::NewConstraint(const TokenTrie& trie) const {
  return std::make_unique<AutomatonConstraint>(automaton_, trie);
}

}  // namespace lastro::engine::constrained
