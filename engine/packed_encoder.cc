#include "engine/packed_encoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::engine {
namespace {

// Tokens that one core packs together, and for each core of a step that all share: enough for efficient products while
// activations stay in cache.
constexpr int64_t kPackedTokens = 256;
// Tokens of a step on a device without lanes, or with few.
constexpr int64_t kStepTokens = 512;
// By how much the largest share of a step may exceed the average: cores that wait for another are lost.
constexpr double kMostUneven = 1.25;

using Texts = absl::Span<const EncodedText>;

int64_t TokensOf(Texts texts) {
  int64_t tokens = 0;
  for (const EncodedText& text : texts) tokens += static_cast<int64_t>(text.ids.size());
  return tokens;
}

// The first of `texts`, as close to `target` tokens as their order allows; at least one, where there is one.
Texts TakeShare(Texts texts, int64_t target) {
  size_t count = 0;
  int64_t tokens = 0;
  while (count < texts.size()) {
    const int64_t more = static_cast<int64_t>(texts[count].ids.size());
    if (count > 0 && tokens + more - target > target - tokens) break;
    tokens += more;
    ++count;
  }
  return texts.first(count);
}

// The first of `texts`, which are sorted by length, up to those of more than `most` tokens; all where the first is.
Texts FirstUpTo(Texts texts, int64_t most) {
  const auto longer = std::find_if(texts.begin(), texts.end(), [most](const EncodedText& text) {
    return static_cast<int64_t>(text.ids.size()) > most;
  });
  return longer == texts.begin() ? texts : texts.first(static_cast<size_t>(longer - texts.begin()));
}

// Divides the first of `texts` among `lanes` cores; one share for all of them together where they do not divide.
std::vector<Texts> DivideStep(Texts texts, int64_t lanes) {
  if (lanes < 2) return {TakeShare(texts, kStepTokens)};
  const int64_t target = std::min(kPackedTokens, (TokensOf(texts) + lanes - 1) / lanes);
  std::vector<Texts> shares;
  int64_t total = 0, most = 0;
  Texts left = texts;
  while (!left.empty() && static_cast<int64_t>(shares.size()) < lanes) {
    shares.push_back(TakeShare(left, target));
    left.remove_prefix(shares.back().size());
    const int64_t tokens = TokensOf(shares.back());
    total += tokens;
    most = std::max(most, tokens);
  }
  if (static_cast<double>(most * lanes) <= kMostUneven * static_cast<double>(total)) return shares;
  return {texts.first(texts.size() - left.size())};
}

}  // namespace

PackedEncoder::PackedEncoder(const Transformer& transformer, Backend& backend)
    : backend_(backend), all_(std::make_unique<Place>(transformer, backend)) {
  for (const std::unique_ptr<Backend>& lane : backend.lanes()) {
    lane_transformers_.push_back(transformer.OnLane(*lane));
    lanes_.push_back(std::make_unique<Place>(*lane_transformers_.back(), *lane));
  }
}

absl::Status PackedEncoder::Place::Reserve(int64_t blocks, int64_t texts) {
  const Architecture& a = transformer.architecture();
  if (kv == nullptr || kv->shape().blocks < blocks) {
    kv = nullptr;  // first the old memory goes
    LASTRO_ASSIGN_OR_RETURN(kv,
                            backend.AllocateKv({1, a.kv_heads, a.head_dim, backend.kv_block_tokens(), blocks, true}));
  }
  const int64_t bytes = texts * a.hidden_size * static_cast<int64_t>(sizeof(float));
  if (pooled == nullptr || pooled->bytes() < bytes) {
    LASTRO_ASSIGN_OR_RETURN(pooled, backend.Allocate(bytes));
  }
  return absl::OkStatus();
}

PackedEncoder::Pack::Pack(Texts texts, int64_t block_tokens) : texts(texts) {
  for (const EncodedText& text : texts) {
    const int64_t rows = static_cast<int64_t>(text.ids.size());
    sequences.push_back({static_cast<int64_t>(ids.size()), rows, 0, {}, rows, text.second_segment});
    ids.insert(ids.end(), text.ids.begin(), text.ids.end());
  }
  blocks = AssignScratchBlocks(block_tokens, absl::MakeSpan(sequences));
}

absl::Status PackedEncoder::Encode(const Pack& pack, Pooling pooling, bool normalize, const CallContext& context,
                                   Place* place) {
  LASTRO_RETURN_IF_ERROR(
      place->Reserve(static_cast<int64_t>(pack.blocks.size()), static_cast<int64_t>(pack.texts.size())));
  LASTRO_RETURN_IF_ERROR(place->transformer.Forward(
      pack.ids, pack.sequences, *place->kv, [&] { return context.Check(); }, &place->scratch));
  place->transformer.NormOutput(&place->scratch);
  const EncodedBatch batch = BatchOf(pack, *place);
  place->backend.Pool(pooling, normalize, batch.sequences, place->scratch.hidden, batch.pooled);
  return absl::OkStatus();
}

EncodedBatch PackedEncoder::BatchOf(const Pack& pack, const Place& place) {
  const int64_t width = place.transformer.architecture().hidden_size;
  return {pack.texts,
          pack.sequences,
          place.scratch.hidden.Rows(0, static_cast<int64_t>(pack.ids.size())),
          {place.pooled->data(), static_cast<int64_t>(pack.texts.size()), width, width}};
}

absl::Status PackedEncoder::RunStepOf(absl::Span<const Texts> shares, Pooling pooling, bool normalize,
                                      const CallContext& context, Consumer consume) const {
  std::vector<Pack> packs;
  for (Texts share : shares) packs.emplace_back(share, backend_.kv_block_tokens());
  return backend_.queue().Run(context, [&]() -> absl::Status {
    if (packs.size() == 1) {
      LASTRO_RETURN_IF_ERROR(Encode(packs[0], pooling, normalize, context, all_.get()));
      return consume(BatchOf(packs[0], *all_));
    }
    std::vector<absl::Status> statuses(packs.size());
    backend_.OnLanes([&](size_t lane) {
      if (lane >= packs.size()) return;
      statuses[lane] = RunStep([&] { return Encode(packs[lane], pooling, normalize, context, lanes_[lane].get()); });
    });
    for (const absl::Status& status : statuses) LASTRO_RETURN_IF_ERROR(status);
    for (size_t lane = 0; lane < packs.size(); ++lane) {
      LASTRO_RETURN_IF_ERROR(consume(BatchOf(packs[lane], *lanes_[lane])));
    }
    return absl::OkStatus();
  });
}

absl::Status PackedEncoder::Run(std::vector<EncodedText> texts, Pooling pooling, bool normalize,
                                const CallContext& context, Consumer consume) const {
  std::stable_sort(texts.begin(), texts.end(),
                   [](const EncodedText& a, const EncodedText& b) { return a.ids.size() < b.ids.size(); });
  Texts left = texts;
  while (!left.empty()) {
    // A text's vector does not depend on those beside it.
    const Texts alike = FirstUpTo(left, all_->transformer.most_row_attention());
    const std::vector<Texts> shares = DivideStep(alike, static_cast<int64_t>(lanes_.size()));
    LASTRO_RETURN_IF_ERROR(RunStepOf(shares, pooling, normalize, context, consume));
    for (Texts share : shares) left.remove_prefix(share.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadEncoderTokenizer(const ModelFiles& files,
                                                                const Architecture& architecture) {
  LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer, files.LoadTokenizer());
  if (tokenizer->vocab_size() <= architecture.vocab_size) return tokenizer;
  return absl::InvalidArgumentError(absl::StrCat(files.path(), ": the tokenizer has ids up to ",
                                                 tokenizer->vocab_size() - 1, ", the model's vocabulary only ",
                                                 architecture.vocab_size));
}

size_t TemplateTail(const Tokenizer& tokenizer, absl::Span<const Token> tokens) {
  size_t tail = 0;
  while (tail < tokens.size()) {
    const Token& token = tokens[tokens.size() - 1 - tail];
    if (!tokenizer.IsSpecial(token.id) || token.begin != token.end) break;
    ++tail;
  }
  return tail;
}

PairFrame FramePair(const Tokenizer& tokenizer, absl::string_view first, int64_t separators, size_t most) {
  EncodeOptions special;
  special.add_special = true;
  const std::vector<Token> tokens = tokenizer.EncodeWithOffsets(first, special);
  const size_t tail = TemplateTail(tokenizer, tokens);
  PairFrame frame;
  for (const Token& token : tokens) {
    const bool of_template = tokenizer.IsSpecial(token.id) && token.begin == token.end;
    if (!of_template && frame.first_tokens == most) continue;
    frame.first_tokens += of_template ? 0 : 1;
    frame.before.push_back(token.id);
  }
  frame.after.assign(frame.before.end() - static_cast<ptrdiff_t>(tail), frame.before.end());
  for (int64_t i = 1; i < separators; ++i) {
    frame.before.insert(frame.before.end(), frame.after.begin(), frame.after.end());
  }
  return frame;
}

}  // namespace lastro::engine
