#include "engine/tokenizers/json_tokenizer.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/status_macros.h"
#include "engine/tokenizers/added_tokens.h"
#include "engine/tokenizers/decoder.h"
#include "engine/tokenizers/model.h"
#include "engine/tokenizers/normalizer.h"
#include "engine/tokenizers/post_processor.h"
#include "engine/tokenizers/pre_tokenizer.h"
#include "engine/tokenizers/segment.h"
#include "engine/tokenizers/vocabulary.h"

namespace lastro::engine::tokenizers {
namespace {

// The parts of a file; those it does not have are null.
struct Parts {
  Vocabulary vocabulary;  // the model's tokens and the added ones
  std::vector<AddedToken> added;
  std::unique_ptr<Normalizer> normalizer;
  PreTokenization pre_tokenization;
  std::unique_ptr<Model> model;
  std::unique_ptr<PostProcessor> post_processor;
  std::unique_ptr<Decoder> decoder;
};

class JsonTokenizer : public Tokenizer {
 public:
  explicit JsonTokenizer(Parts parts)
      : parts_(std::move(parts)),
        raw_finder_(parts_.added, /*normalized=*/false, nullptr),
        normalized_finder_(parts_.added, /*normalized=*/true, parts_.normalizer.get()) {
    for (const AddedToken& token : parts_.added) {
      if (token.special) special_ids_.insert(token.id);
    }
  }

  std::vector<Token> EncodeWithOffsets(absl::string_view text, const EncodeOptions& options) const override {
    const AlignedText input = AlignedText::FromInput(text);
    std::deque<Segment> segments = Cut(input, options);
    std::vector<ValuedToken> tokens;
    ModelScratch scratch;
    std::vector<WordToken> word_tokens;
    for (Segment& segment : segments) {
      if (parts_.pre_tokenization.pre_tokenizer != nullptr) parts_.pre_tokenization.pre_tokenizer->Apply(&segment);
      for (const Piece& piece : segment.pieces) AppendTokens(segment.text, piece, &scratch, &word_tokens, &tokens);
    }
    if (parts_.post_processor != nullptr) parts_.post_processor->Apply(text, options.add_special, &tokens);
    std::vector<Token> result;
    result.reserve(tokens.size());
    for (const ValuedToken& token : tokens) result.push_back(token.token);
    return result;
  }

  std::string Decode(absl::Span<const int32_t> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (int32_t id : ids) {
      if (id < 0 || id >= vocab_size() || (skip_special && IsSpecial(id))) continue;
      tokens.emplace_back(parts_.vocabulary.TokenOf(id));
    }
    parts_.decoder->Apply(&tokens);
    std::string text;
    for (const std::string& token : tokens) text += token;
    return text;
  }

  int vocab_size() const override { return parts_.vocabulary.size(); }
  std::optional<int32_t> TokenToId(absl::string_view token) const override { return parts_.vocabulary.IdOf(token); }
  std::string IdToToken(int32_t id) const override { return std::string(parts_.vocabulary.TokenOf(id)); }
  bool IsSpecial(int32_t id) const override { return special_ids_.contains(id); }

 private:
  // The input cut at added tokens, normalised, and cut again at those that are looked for in normalised text.
  std::deque<Segment> Cut(const AlignedText& input, const EncodeOptions& options) const {
    std::deque<Segment> segments;
    auto allowed_in = [&](const AlignedText& text) {
      return [&](uint32_t begin, uint32_t end) { return IsApart(text.SourceOf(begin, end), options.plain_ranges); };
    };
    for (const Piece& piece : raw_finder_.Find(input.text(), options.parse_special, allowed_in(input))) {
      Segment segment;
      segment.text = input.Slice(piece.begin, piece.end);
      if (piece.added_id >= 0) {
        segment.pieces.push_back({0, piece.end - piece.begin, piece.added_id});
      } else {
        if (parts_.normalizer != nullptr) parts_.normalizer->Apply(&segment.text);
        segment.pieces = normalized_finder_.Find(segment.text.text(), options.parse_special, allowed_in(segment.text));
      }
      segments.push_back(std::move(segment));
    }
    return segments;
  }

  void AppendTokens(const AlignedText& text, const Piece& piece, ModelScratch* scratch,
                    std::vector<WordToken>* word_tokens, std::vector<ValuedToken>* tokens) const {
    absl::string_view word = absl::string_view(text.text()).substr(piece.begin, piece.end - piece.begin);
    if (piece.added_id >= 0) {
      ByteRange source = text.SourceOf(piece.begin, piece.end);
      tokens->push_back({Token{piece.added_id, source.begin, source.end}, word});
      return;
    }
    word_tokens->clear();
    parts_.model->Tokenize(word, scratch, word_tokens);
    for (const WordToken& token : *word_tokens) {
      ByteRange source = text.SourceOf(piece.begin + token.begin, piece.begin + token.end);
      tokens->push_back({Token{token.id, source.begin, source.end}, parts_.vocabulary.TokenOf(token.id)});
    }
  }

  const Parts parts_;
  const AddedTokenFinder raw_finder_;
  const AddedTokenFinder normalized_finder_;
  absl::flat_hash_set<int32_t> special_ids_;
};

// Reads the text-side components, each optional.
absl::Status ReadSteps(const JsonValue& root, Parts* parts) {
  if (root.Has("normalizer")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue component, root.Get("normalizer"));
    LASTRO_ASSIGN_OR_RETURN(parts->normalizer, ParseNormalizer(component));
  }
  if (root.Has("pre_tokenizer")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue component, root.Get("pre_tokenizer"));
    LASTRO_ASSIGN_OR_RETURN(JsonValue model, root.Get("model"));
    LASTRO_ASSIGN_OR_RETURN(bool looks_up_bytes, LooksUpBytes(model));
    LASTRO_ASSIGN_OR_RETURN(parts->pre_tokenization, ParsePreTokenizer(component, looks_up_bytes));
  }
  if (root.Has("decoder")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue component, root.Get("decoder"));
    LASTRO_ASSIGN_OR_RETURN(parts->decoder, ParseDecoder(component));
  } else {
    parts->decoder = DefaultDecoder();
  }
  return absl::OkStatus();
}

// Reads the model over its own vocabulary, then adds the added tokens to that.
absl::Status ReadModel(const JsonValue& root, Parts* parts) {
  LASTRO_ASSIGN_OR_RETURN(JsonValue component, root.Get("model"));
  LASTRO_ASSIGN_OR_RETURN(JsonValue vocabulary, component.Get("vocab"));
  if (vocabulary.is_object()) {
    LASTRO_ASSIGN_OR_RETURN(parts->vocabulary, Vocabulary::Parse(vocabulary));
  } else {
    LASTRO_ASSIGN_OR_RETURN(parts->vocabulary, Vocabulary::ParseArray(vocabulary));
  }
  ModelContext context;
  context.byte_level = parts->pre_tokenization.byte_level;
  for (const AddedToken& token : parts->added) {
    if (token.special) context.special.insert(token.content);
  }
  LASTRO_ASSIGN_OR_RETURN(parts->model, ParseModel(component, parts->vocabulary, context));
  for (const AddedToken& token : parts->added) {
    LASTRO_RETURN_IF_ERROR(parts->vocabulary.Add(token.content, token.id, root.path() + " added_tokens"));
  }
  return parts->vocabulary.CheckDense(root.path());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizer(const JsonDocument& document) {
  const JsonValue root = document.root();
  Parts parts;
  LASTRO_ASSIGN_OR_RETURN(parts.added, ParseAddedTokens(root));
  LASTRO_RETURN_IF_ERROR(ReadSteps(root, &parts));
  LASTRO_RETURN_IF_ERROR(ReadModel(root, &parts));
  if (root.Has("post_processor")) {
    LASTRO_ASSIGN_OR_RETURN(JsonValue component, root.Get("post_processor"));
    LASTRO_ASSIGN_OR_RETURN(parts.post_processor, ParsePostProcessor(component, parts.vocabulary));
  }
  return std::unique_ptr<Tokenizer>(std::make_unique<JsonTokenizer>(std::move(parts)));
}

}  // namespace lastro::engine::tokenizers
