// BERT (Devlin et al. 2018) as an encoder: learned positions, token types, post-norm, erf GELU unless the config says
// otherwise. RoBERTa (Liu et al. 2019), XLM-R and CamemBERT: the same with positions that start after the padding id.
// DistilBERT (Sanh et al. 2019): without token types, under other names. Reference: transformers/models/bert, /roberta,
// /distilbert.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/cards.h"
#include "engine/cards/common.h"

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
  names.ignored = {"embeddings.position_ids", "pooler.dense.", "cls.predictions.", "cls.seq_relationship.", "lm_head."};
  return names;
}

TensorNames DistilBertTensors() {
  TensorNames names;
  names.prefixes = {"", "distilbert."};
  names.token_embedding = "embeddings.word_embeddings";
  names.position_embedding = "embeddings.position_embeddings";
  names.embedding_norm = "embeddings.LayerNorm";
  names.q = "transformer.layer.{}.attention.q_lin";
  names.k = "transformer.layer.{}.attention.k_lin";
  names.v = "transformer.layer.{}.attention.v_lin";
  names.attention_out = "transformer.layer.{}.attention.out_lin";
  names.attention_norm = "transformer.layer.{}.sa_layer_norm";
  names.up = "transformer.layer.{}.ffn.lin1";
  names.down = "transformer.layer.{}.ffn.lin2";
  names.mlp_norm = "transformer.layer.{}.output_layer_norm";
  names.ignored = {"vocab_transform.", "vocab_layer_norm.", "vocab_projector."};
  return names;
}

void SetEncoderFacts(Architecture* a) {
  a->norm = NormKind::kLayer;
  a->residual = ResidualOrder::kPost;
  a->embedding_norm = true;
  a->positions = PositionKind::kLearned;
  a->causal = false;
  a->qkv_bias = a->attention_out_bias = a->mlp_bias = true;
}

absl::Status ReadBert(ConfigReader& config, Architecture* a) {
  a->vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a->hidden_size = config.Int("hidden_size", 1, kMaxWidth);
  a->layers = config.Int("num_hidden_layers", 1, kMaxLayers);
  a->heads = a->kv_heads = config.Int("num_attention_heads", 1, kMaxHeads);
  a->intermediate_size = config.Int("intermediate_size", 1, kMaxWidth);
  a->max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens);
  a->token_types = config.Int("type_vocab_size", 1, kMaxVocab, 2);
  a->norm_eps = static_cast<float>(config.Double("layer_norm_eps", 0, 1, 1e-12));
  a->activation = config.Activation("hidden_act", "gelu");
  config.ExpectString("position_embedding_type", "absolute");
  config.ExpectBool("is_decoder", false);
  config.ExpectBool("add_cross_attention", false);
  LASTRO_RETURN_IF_ERROR(config.status());
  SetEncoderFacts(a);
  a->tensors = BertTensors();
  return DeriveHeadDim(config.config(), a);
}

}  // namespace

absl::StatusOr<Architecture> BertCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "bert";
  LASTRO_RETURN_IF_ERROR(ReadBert(config, &a));
  return a;
}

absl::StatusOr<Architecture> RobertaCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = config.String("model_type", "roberta");
  LASTRO_RETURN_IF_ERROR(ReadBert(config, &a));
  a.position_offset = config.Int("pad_token_id", 0, kMaxTokens, 1) + 1;
  LASTRO_RETURN_IF_ERROR(config.status());
  a.max_tokens -= a.position_offset;  // max_position_embeddings counts the rows of the table
  if (a.max_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.config().path(), " max_position_embeddings must exceed ", "pad_token_id by at least 2"));
  }
  a.tensors.prefixes = {"", "roberta."};
  return a;
}

absl::StatusOr<Architecture> DistilBertCard(const ModelFiles& files) {
  ConfigReader config(files.config());
  Architecture a;
  a.name = "distilbert";
  a.vocab_size = config.Int("vocab_size", 1, kMaxVocab);
  a.hidden_size = config.Int(config.FirstOf({"dim", "hidden_size"}), 1, kMaxWidth);
  a.layers = config.Int(config.FirstOf({"n_layers", "num_hidden_layers"}), 1, kMaxLayers);
  a.heads = a.kv_heads = config.Int(config.FirstOf({"n_heads", "num_attention_heads"}), 1, kMaxHeads);
  a.intermediate_size = config.Int("hidden_dim", 1, kMaxWidth, 4 * a.hidden_size);
  a.max_tokens = config.Int("max_position_embeddings", 1, kMaxTokens, 512);
  a.norm_eps = 1e-12f;
  a.activation = config.Activation("activation", "gelu");
  LASTRO_RETURN_IF_ERROR(config.status());
  SetEncoderFacts(&a);
  a.tensors = DistilBertTensors();
  LASTRO_RETURN_IF_ERROR(DeriveHeadDim(config.config(), &a));
  return a;
}

}  // namespace lastro::engine
