// BERT (Devlin et al. 2018) as an encoder: learned positions, token types, post-norm, erf GELU unless the config says
// otherwise. Reference: transformers/models/bert/modeling_bert.py.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/config_reader.h"

namespace lastro::engine {
namespace {

TensorNames BertTensors() {
  TensorNames names;
  names.prefixes = {"", "bert."};
  names.token_embedding = "embeddings.word_embeddings";
  names.position_embedding = "embeddings.position_embeddings";
  names.type_embedding = "embeddings.token_type_embeddings";
  names.embedding_norm = "embeddings.LayerNorm";
  names.q = "encoder.layer.{}.attention.self.query";
  names.k = "encoder.layer.{}.attention.self.key";
  names.v = "encoder.layer.{}.attention.self.value";
  names.attention_out = "encoder.layer.{}.attention.output.dense";
  names.attention_norm = "encoder.layer.{}.attention.output.LayerNorm";
  names.up = "encoder.layer.{}.intermediate.dense";
  names.down = "encoder.layer.{}.output.dense";
  names.mlp_norm = "encoder.layer.{}.output.LayerNorm";
  names.ignored = {"embeddings.position_ids", "pooler.dense.", "cls.predictions.", "cls.seq_relationship."};
  return names;
}

}  // namespace

absl::StatusOr<Architecture> BertCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "bert";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int("hidden_size", 1, kMaxWidth);
  a.layers = config.Int("num_hidden_layers", 1, kMaxLayers);
  a.heads = a.kv_heads = config.Int("num_attention_heads", 1, kMaxHeads);
  a.intermediate_size = config.Int("intermediate_size", 1, kMaxWidth);
  a.max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens);
  a.token_types = config.Int("type_vocab_size", 1, kMaxVocab, 2);
  a.norm = NormKind::kLayer;
  a.norm_eps = static_cast<float>(config.Double("layer_norm_eps", 0, 1, 1e-12));
  a.activation = config.Activation("hidden_act", "gelu");
  const std::string positions = config.String("position_embedding_type", "absolute");
  if (positions != "absolute") {
    config.Fail(absl::UnimplementedError(absl::StrCat(files.config().path(), " position_embedding_type \"", positions,
                                                      "\" is not supported; supported: absolute")));
  }
  if (config.Bool("is_decoder", false) || config.Bool("add_cross_attention", false)) {
    config.Fail(absl::UnimplementedError(
        absl::StrCat(files.config().path(), " a BERT decoder (is_decoder, add_cross_attention) is not supported")));
  }
  LASTRO_RETURN_IF_ERROR(config.status());
  if (a.hidden_size % a.heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(files.config().path(), " hidden_size ", a.hidden_size,
                                                   " is not a multiple of num_attention_heads ", a.heads));
  }
  a.head_dim = a.hidden_size / a.heads;
  a.residual = ResidualOrder::kPost;
  a.embedding_norm = true;
  a.positions = PositionKind::kLearned;
  a.causal = false;
  a.qkv_bias = a.attention_out_bias = a.mlp_bias = true;
  a.tensors = BertTensors();
  return a;
}

}  // namespace lastro::engine
