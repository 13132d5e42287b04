#include "engine/gguf_family.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lastro::engine {
namespace {

using enum GgufChange;

constexpr GgufConfigRow kLlamaConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"head_dim", "attention.key_length", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
};

constexpr GgufConfigRow kBertConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"layer_norm_eps", "attention.layer_norm_epsilon", GgufField::kFloat},
};

constexpr GgufConfigRow kGemma2Config[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"head_dim", "attention.key_length", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
    {"sliding_window", "attention.sliding_window", GgufField::kInt},
    {"attn_logit_softcapping", "attn_logit_softcapping", GgufField::kFloat},
    {"final_logit_softcapping", "final_logit_softcapping", GgufField::kFloat},
};

constexpr GgufConfigRow kGemma3Config[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"head_dim", "attention.key_length", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
    {"rope_local_base_freq", "rope.freq_base_swa", GgufField::kFloat},
    {"sliding_window", "attention.sliding_window", GgufField::kInt},
    {"sliding_window_pattern", "attention.sliding_window_pattern", GgufField::kInt},
    {"attn_logit_softcapping", "attn_logit_softcapping", GgufField::kFloat},
    {"final_logit_softcapping", "final_logit_softcapping", GgufField::kFloat},
};

constexpr GgufConfigRow kPhi3Config[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
    {"sliding_window", "attention.sliding_window", GgufField::kInt},
};

constexpr GgufConfigRow kGpt2Config[] = {
    {"n_positions", "context_length", GgufField::kInt},
    {"n_embd", "embedding_length", GgufField::kInt},
    {"n_layer", "block_count", GgufField::kInt},
    {"n_inner", "feed_forward_length", GgufField::kInt},
    {"n_head", "attention.head_count", GgufField::kInt},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", GgufField::kFloat},
};

constexpr GgufConfigRow kNeoxConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"layer_norm_eps", "attention.layer_norm_epsilon", GgufField::kFloat},
    {"rotary_emb_base", "rope.freq_base", GgufField::kFloat},
    {"use_parallel_residual", "use_parallel_residual", GgufField::kBool},
};

constexpr GgufConfigRow kFalconConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"ffn_hidden_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_kv_heads", "attention.head_count_kv", GgufField::kInt},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
};

constexpr GgufConfigRow kMptConfig[] = {
    {"max_seq_len", "context_length", GgufField::kInt},
    {"d_model", "embedding_length", GgufField::kInt},
    {"n_layers", "block_count", GgufField::kInt},
    {"n_heads", "attention.head_count", GgufField::kInt},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", GgufField::kFloat},
};

constexpr GgufConfigRow kBloomConfig[] = {
    {"seq_length", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"n_layer", "block_count", GgufField::kInt},
    {"n_inner", "feed_forward_length", GgufField::kInt},
    {"n_head", "attention.head_count", GgufField::kInt},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", GgufField::kFloat},
};

constexpr GgufTensorRow kLlamaTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj", kQueryRows},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj", kKeyRows},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr GgufTensorRow kQwenTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr GgufConfigRow kMixtralConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"head_dim", "attention.key_length", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
    {"num_local_experts", "expert_count", GgufField::kInt},
    {"num_experts_per_tok", "expert_used_count", GgufField::kInt},
};

constexpr GgufTensorRow kMixtralTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj", kQueryRows},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj", kKeyRows},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate_inp", "model.layers.{}.block_sparse_moe.gate"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.block_sparse_moe.experts.{e}.w1", kExperts},
    {"blk.{}.ffn_up_exps", "model.layers.{}.block_sparse_moe.experts.{e}.w3", kExperts},
    {"blk.{}.ffn_down_exps", "model.layers.{}.block_sparse_moe.experts.{e}.w2", kExperts},
};

constexpr GgufConfigRow kQwen3MoeConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "feed_forward_length", GgufField::kInt},
    {"moe_intermediate_size", "expert_feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"head_dim", "attention.key_length", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
    {"num_experts", "expert_count", GgufField::kInt},
    {"num_experts_per_tok", "expert_used_count", GgufField::kInt},
};

constexpr GgufTensorRow kQwen3MoeTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate_inp", "model.layers.{}.mlp.gate"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.mlp.experts.{e}.gate_proj", kExperts},
    {"blk.{}.ffn_up_exps", "model.layers.{}.mlp.experts.{e}.up_proj", kExperts},
    {"blk.{}.ffn_down_exps", "model.layers.{}.mlp.experts.{e}.down_proj", kExperts},
};

constexpr GgufConfigRow kGptOssConfig[] = {
    {"max_position_embeddings", "context_length", GgufField::kInt},
    {"hidden_size", "embedding_length", GgufField::kInt},
    {"num_hidden_layers", "block_count", GgufField::kInt},
    {"intermediate_size", "expert_feed_forward_length", GgufField::kInt},
    {"num_attention_heads", "attention.head_count", GgufField::kInt},
    {"num_key_value_heads", "attention.head_count_kv", GgufField::kInt},
    {"head_dim", "attention.key_length", GgufField::kInt},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", GgufField::kFloat},
    {"rope_theta", "rope.freq_base", GgufField::kFloat},
    {"sliding_window", "attention.sliding_window", GgufField::kInt},
    {"num_local_experts", "expert_count", GgufField::kInt},
    {"num_experts_per_tok", "expert_used_count", GgufField::kInt},
};

constexpr GgufTensorRow kGptOssTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.attn_sinks", "model.layers.{}.self_attn.sinks"},
    {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_gate_inp", "model.layers.{}.mlp.router"},
    {"blk.{}.ffn_gate_exps", "model.layers.{}.mlp.experts.{e}.gate_proj", kExperts},
    {"blk.{}.ffn_up_exps", "model.layers.{}.mlp.experts.{e}.up_proj", kExperts},
    {"blk.{}.ffn_down_exps", "model.layers.{}.mlp.experts.{e}.down_proj", kExperts},
};

constexpr GgufTensorRow kBertTensors[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.{}.attn_q", "encoder.layer.{}.attention.self.query"},
    {"blk.{}.attn_k", "encoder.layer.{}.attention.self.key"},
    {"blk.{}.attn_v", "encoder.layer.{}.attention.self.value"},
    {"blk.{}.attn_output", "encoder.layer.{}.attention.output.dense"},
    {"blk.{}.attn_output_norm", "encoder.layer.{}.attention.output.LayerNorm"},
    {"blk.{}.ffn_up", "encoder.layer.{}.intermediate.dense"},
    {"blk.{}.ffn_down", "encoder.layer.{}.output.dense"},
    {"blk.{}.layer_output_norm", "encoder.layer.{}.output.LayerNorm"},
    {"cls", "pooler.dense"},  // of classifiers
    {"cls.output", "classifier"},
    {"lastro.span_head", "qa_outputs"},  // of readers; the format has no name for it
};

constexpr GgufTensorRow kGemmaTensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm", kNormPlusOne},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm", kNormPlusOne},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm", kNormPlusOne},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr GgufTensorRow kGemma2Tensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm", kNormPlusOne},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm", kNormPlusOne},
    {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
    {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
    {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
    {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm", kNormPlusOne},
    {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm", kNormPlusOne},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm", kNormPlusOne},
    {"blk.{}.ffn_norm", "model.layers.{}.pre_feedforward_layernorm", kNormPlusOne},
    {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm", kNormPlusOne},
    {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr GgufTensorRow kPhi3Tensors[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
    {"blk.{}.attn_qkv", "model.layers.{}.self_attn.qkv_proj"},
    {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
    {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_up", "model.layers.{}.mlp.gate_up_proj"},
    {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"},
};

constexpr GgufTensorRow kGpt2Tensors[] = {
    {"token_embd", "transformer.wte"},
    {"position_embd", "transformer.wpe"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.h.{}.ln_1"},
    {"blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn", kTransposed},
    {"blk.{}.attn_output", "transformer.h.{}.attn.c_proj", kTransposed},
    {"blk.{}.ffn_norm", "transformer.h.{}.ln_2"},
    {"blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc", kTransposed},
    {"blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj", kTransposed},
};

constexpr GgufTensorRow kNeoxTensors[] = {
    {"token_embd", "gpt_neox.embed_in"},
    {"output_norm", "gpt_neox.final_layer_norm"},
    {"output", "embed_out"},
    {"blk.{}.attn_norm", "gpt_neox.layers.{}.input_layernorm"},
    {"blk.{}.attn_qkv", "gpt_neox.layers.{}.attention.query_key_value", kFusedQkvRows},
    {"blk.{}.attn_output", "gpt_neox.layers.{}.attention.dense"},
    {"blk.{}.ffn_norm", "gpt_neox.layers.{}.post_attention_layernorm"},
    {"blk.{}.ffn_up", "gpt_neox.layers.{}.mlp.dense_h_to_4h"},
    {"blk.{}.ffn_down", "gpt_neox.layers.{}.mlp.dense_4h_to_h"},
};

constexpr GgufTensorRow kFalconTwoNormTensors[] = {
    {"token_embd", "transformer.word_embeddings"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.h.{}.ln_mlp"},
    {"blk.{}.attn_norm_2", "transformer.h.{}.ln_attn"},
    {"blk.{}.attn_qkv", "transformer.h.{}.self_attention.query_key_value", kFusedQkvRows},
    {"blk.{}.attn_output", "transformer.h.{}.self_attention.dense"},
    {"blk.{}.ffn_up", "transformer.h.{}.mlp.dense_h_to_4h"},
    {"blk.{}.ffn_down", "transformer.h.{}.mlp.dense_4h_to_h"},
};

constexpr GgufTensorRow kFalconTensors[] = {
    {"token_embd", "transformer.word_embeddings"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.h.{}.input_layernorm"},
    {"blk.{}.attn_qkv", "transformer.h.{}.self_attention.query_key_value", kFusedQkvRows},
    {"blk.{}.attn_output", "transformer.h.{}.self_attention.dense"},
    {"blk.{}.ffn_up", "transformer.h.{}.mlp.dense_h_to_4h"},
    {"blk.{}.ffn_down", "transformer.h.{}.mlp.dense_4h_to_h"},
};

constexpr GgufTensorRow kMptTensors[] = {
    {"token_embd", "transformer.wte"},
    {"output_norm", "transformer.norm_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.blocks.{}.norm_1"},
    {"blk.{}.attn_qkv", "transformer.blocks.{}.attn.Wqkv"},
    {"blk.{}.attn_output", "transformer.blocks.{}.attn.out_proj"},
    {"blk.{}.ffn_norm", "transformer.blocks.{}.norm_2"},
    {"blk.{}.ffn_up", "transformer.blocks.{}.ffn.up_proj"},
    {"blk.{}.ffn_down", "transformer.blocks.{}.ffn.down_proj"},
};

constexpr GgufTensorRow kBloomTensors[] = {
    {"token_embd", "transformer.word_embeddings"},
    {"token_embd_norm", "transformer.word_embeddings_layernorm"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
    {"blk.{}.attn_norm", "transformer.h.{}.input_layernorm"},
    {"blk.{}.attn_qkv", "transformer.h.{}.self_attention.query_key_value", kFusedQkvRows},
    {"blk.{}.attn_output", "transformer.h.{}.self_attention.dense"},
    {"blk.{}.ffn_norm", "transformer.h.{}.post_attention_layernorm"},
    {"blk.{}.ffn_up", "transformer.h.{}.mlp.dense_h_to_4h"},
    {"blk.{}.ffn_down", "transformer.h.{}.mlp.dense_4h_to_h"},
};

constexpr char kSilu[] = R"(, "hidden_act": "silu")";
constexpr char kGelu[] = R"(, "hidden_act": "gelu")";
constexpr char kGemmaConstants[] = R"(, "hidden_activation": "gelu_pytorch_tanh")";

// The first row of an architecture whose marker is there is the one that it is read as.
constexpr GgufFamily kFamilies[] = {
    {"llama", "mixtral", kSilu, GgufDerived::kNone, kMixtralConfig, kMixtralTensors, "blk.0.ffn_gate_exps.weight"},
    {"llama", "llama", kSilu, GgufDerived::kNone, kLlamaConfig, kLlamaTensors},
    {"llama", "mistral", kSilu, GgufDerived::kNone, kLlamaConfig, kLlamaTensors},
    {"qwen2", "qwen2", kSilu, GgufDerived::kNone, kLlamaConfig, kQwenTensors},
    {"qwen3", "qwen3", kSilu, GgufDerived::kNone, kLlamaConfig, kQwenTensors},
    {"qwen3moe", "qwen3_moe", R"(, "hidden_act": "silu", "norm_topk_prob": true)", GgufDerived::kNone, kQwen3MoeConfig,
     kQwen3MoeTensors, "blk.0.ffn_gate_exps.weight"},
    {"gpt-oss", "gpt_oss", R"(, "hidden_act": "silu", "expert_layout": "separate")", GgufDerived::kGptOss,
     kGptOssConfig, kGptOssTensors, "blk.0.ffn_gate_exps.weight"},
    {"gemma", "gemma", kGemmaConstants, GgufDerived::kNone, kLlamaConfig, kGemmaTensors},
    {"gemma2", "gemma2", kGemmaConstants, GgufDerived::kGemmaScale, kGemma2Config, kGemma2Tensors},
    {"gemma3", "gemma3_text", kGemmaConstants, GgufDerived::kGemmaScale, kGemma3Config, kGemma2Tensors},
    {"phi3", "phi3", kSilu, GgufDerived::kPartialRotary, kPhi3Config, kPhi3Tensors},
    {"gpt2", "gpt2", R"(, "activation_function": "gelu_new", "linear_layout": "out_in")", GgufDerived::kNone,
     kGpt2Config, kGpt2Tensors},
    {"gptneox", "gpt_neox", kGelu, GgufDerived::kNeoxRotary, kNeoxConfig, kNeoxTensors},
    {"falcon", "falcon", R"(, "activation": "gelu")", GgufDerived::kFalcon, kFalconConfig, kFalconTwoNormTensors,
     "blk.0.attn_norm_2.weight"},
    {"falcon", "falcon", R"(, "activation": "gelu")", GgufDerived::kFalcon, kFalconConfig, kFalconTensors},
    {"mpt", "mpt", "", GgufDerived::kMpt, kMptConfig, kMptTensors},
    {"bloom", "bloom", "", GgufDerived::kNone, kBloomConfig, kBloomTensors},
    {"bert", "bert", kGelu, GgufDerived::kNone, kBertConfig, kBertTensors},
};

constexpr absl::string_view kSuffixes[] = {".weight", ".bias"};
// What stands before the names of the tables, or is missing there, in checkpoints of the same model.
constexpr absl::string_view kHfPrefixes[] = {"model.", "bert.", "transformer.", "gpt_neox."};

// The layer of a name that fits `pattern`, as text ("" for a pattern without one); nullopt when it does not fit.
std::optional<absl::string_view> MatchLayer(absl::string_view name, absl::string_view pattern) {
  const size_t hole = pattern.find("{}");
  if (hole == absl::string_view::npos) return name == pattern ? std::optional<absl::string_view>("") : std::nullopt;
  if (!absl::ConsumePrefix(&name, pattern.substr(0, hole)) || !absl::ConsumeSuffix(&name, pattern.substr(hole + 2))) {
    return std::nullopt;
  }
  if (name.empty() || name.find_first_not_of("0123456789") != absl::string_view::npos) return std::nullopt;
  return name;
}

std::string FillLayer(absl::string_view pattern, absl::string_view layer) {
  const size_t hole = pattern.find("{}");
  if (hole == absl::string_view::npos) return std::string(pattern);
  return absl::StrCat(pattern.substr(0, hole), layer, pattern.substr(hole + 2));
}

std::optional<GgufTensorMatch> Translate(const GgufFamily& family, absl::string_view name, bool to_hf) {
  for (absl::string_view suffix : kSuffixes) {
    absl::string_view stem = name;
    if (!absl::ConsumeSuffix(&stem, suffix)) continue;
    for (const GgufTensorRow& row : family.tensors) {
      const auto layer = MatchLayer(stem, to_hf ? row.gguf : row.hf);
      if (!layer.has_value()) continue;
      return GgufTensorMatch{absl::StrCat(FillLayer(to_hf ? row.hf : row.gguf, *layer), suffix), row.change};
    }
  }
  return std::nullopt;
}

std::vector<int64_t> HalfSplitOrder(int64_t heads, int64_t rows) {
  if (heads <= 0 || rows % (2 * heads) != 0) return {};
  const int64_t head_dim = rows / heads, half = head_dim / 2;
  std::vector<int64_t> order;
  order.reserve(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t head = row / head_dim, within = row % head_dim;
    order.push_back(head * head_dim + within % half * 2 + within / half);
  }
  return order;
}

std::vector<int64_t> GroupedQkvOrder(const HeadCounts& counts, int64_t rows) {
  const auto [heads, kv_heads, dim] = counts;
  if (kv_heads <= 0 || heads % kv_heads != 0 || rows != (heads + 2 * kv_heads) * dim) return {};
  const int64_t group = heads / kv_heads + 2;  // vectors of a KV head
  std::vector<int64_t> order;
  order.reserve(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t g = row / (group * dim), i = row / dim % group, d = row % dim;
    const int64_t vector = i < group - 2 ? g * (group - 2) + i : heads + (i - (group - 2)) * kv_heads + g;
    order.push_back(vector * dim + d);
  }
  return order;
}

}  // namespace

const GgufFamily* FindGgufFamily(absl::string_view architecture,
                                 absl::FunctionRef<bool(absl::string_view tensor)> contains) {
  for (const GgufFamily& family : kFamilies) {
    const absl::string_view marker = family.marker;
    if (architecture == family.architecture && (marker.empty() || contains(marker))) return &family;
  }
  return nullptr;
}

const GgufFamily* FindGgufFamilyOfModel(absl::string_view model_type,
                                        absl::FunctionRef<bool(absl::string_view tensor)> contains) {
  for (const GgufFamily& family : kFamilies) {
    if (model_type != family.model_type) continue;
    const auto marker = HfNameOf(family, family.marker);
    if (!marker.has_value() || contains(marker->name)) return &family;
  }
  return nullptr;
}

std::string SupportedGgufArchitectures() {
  std::string names;
  absl::string_view last;
  for (const GgufFamily& family : kFamilies) {
    if (family.architecture == last) continue;
    last = family.architecture;
    absl::StrAppend(&names, names.empty() ? "" : ", ", last);
  }
  return names;
}

std::optional<GgufTensorMatch> HfNameOf(const GgufFamily& family, absl::string_view gguf_name) {
  return Translate(family, gguf_name, true);
}

std::optional<GgufTensorMatch> GgufNameOf(const GgufFamily& family, absl::string_view hf_name) {
  std::optional<GgufTensorMatch> match = Translate(family, hf_name, false);
  for (absl::string_view prefix : kHfPrefixes) {
    absl::string_view rest = hf_name;
    if (!match.has_value() && absl::ConsumePrefix(&rest, prefix)) match = Translate(family, rest, false);
    if (!match.has_value()) match = Translate(family, absl::StrCat(prefix, hf_name), false);
  }
  return match;
}

std::vector<int64_t> GgufRowOrder(GgufChange change, const HeadCounts& heads, int64_t rows) {
  switch (change) {
    case kQueryRows:
      return HalfSplitOrder(heads.heads, rows);
    case kKeyRows:
      return HalfSplitOrder(heads.kv_heads, rows);
    case kFusedQkvRows:
      return GroupedQkvOrder(heads, rows);
    case kNone:
    case kNormPlusOne:
    case kTransposed:
    case kExperts:
      return {};
  }
  return {};
}

}  // namespace lastro::engine
