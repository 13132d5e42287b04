// Cards: what a configuration is read as, and every way in which a hostile one is refused.
#include "engine/cards.h"

#include <cmath>

#include "engine/hf_folder.h"
#include "tests/unit/engine/model_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kInvalid;
using testing::kUnimplemented;
using testing::StatusIs;

absl::StatusOr<Architecture> Card(const EditedModel& model) {
  auto folder = HfFolder::Open(model.path());
  EXPECT_THAT(folder, testing::IsOk());
  return ReadArchitecture(**folder);
}

TEST(LlamaCardTest, ReadsTheTinyModel) {
  ASSERT_OK_AND_ASSIGN(Architecture a, Card(EditedModel("llama-gqa")));
  EXPECT_EQ(a.name, "llama");
  EXPECT_EQ(a.heads, 9);
  EXPECT_EQ(a.kv_heads, 3);
  EXPECT_EQ(a.head_dim, 14);
  EXPECT_EQ(a.rope.rotary_dim, 14);
  EXPECT_TRUE(a.qkv_bias && a.attention_out_bias && !a.mlp_bias && !a.tied_head && a.causal && a.gated_mlp);
  EXPECT_THAT(a.eos_ids, ElementsAre(1, 2));  // config.json and generation_config.json together
  EXPECT_EQ(a.bos_id, 0);
}

TEST(LlamaCardTest, ReadsBothRopeSpellings) {
  ASSERT_OK_AND_ASSIGN(Architecture scaled, Card(EditedModel("llama-scaled-tied")));
  EXPECT_EQ(scaled.rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(scaled.rope.theta, 50000.0);
  EXPECT_EQ(scaled.rope.factor, 8.0);
  EXPECT_EQ(scaled.rope.original_max_tokens, 64.0);
  EXPECT_TRUE(scaled.tied_head);
  ASSERT_OK_AND_ASSIGN(Architecture linear, Card(EditedModel("llama-linear-bf16")));  // rope_parameters
  EXPECT_EQ(linear.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(linear.rope.theta, 2000.0);
  EXPECT_EQ(linear.rope.factor, 2.5);
}

TEST(LlamaCardTest, DerivesWhatIsAbsent) {
  EditedModel model("llama-scaled-tied");
  model.Write("config.json", R"({"model_type": "llama", "vocab_size": 10, "hidden_size": 12, "num_hidden_layers": 1,
                                 "num_attention_heads": 3, "intermediate_size": 7, "eos_token_id": [3, 1, 3],
                                 "sliding_window": null, "rope_scaling": null, "head_dim": null})");
  ASSERT_OK_AND_ASSIGN(Architecture a, Card(model));
  EXPECT_EQ(a.kv_heads, 3);
  EXPECT_EQ(a.head_dim, 4);
  EXPECT_EQ(a.rope.theta, 10000.0);
  EXPECT_EQ(a.max_tokens, 2048);
  EXPECT_FALSE(a.tied_head);
  EXPECT_THAT(a.eos_ids, ElementsAre(1, 3));
  EXPECT_EQ(a.bos_id, -1);
}

struct Refusal {
  const char* from;
  const char* to;
  absl::StatusCode code;
  const char* message;
};

void ExpectRefusal(const char* base, const Refusal& refusal) {
  SCOPED_TRACE(refusal.to);
  EditedModel model(base);
  model.Edit("config.json", refusal.from, refusal.to);
  EXPECT_THAT(Card(model), StatusIs(refusal.code, AllOf(HasSubstr("config.json"), HasSubstr(refusal.message))));
}

TEST(LlamaCardTest, RefusesHostileNumbers) {
  for (const Refusal& refusal : std::initializer_list<Refusal>{
           {"\"hidden_size\": 40", "\"hidden_size\": 0", kInvalid, "hidden_size = 0 is out of range"},
           {"\"hidden_size\": 40", "\"hidden_size\": -40", kInvalid, "hidden_size"},
           {"\"hidden_size\": 40", "\"hidden_size\": 9223372036854775807", kInvalid, "hidden_size"},
           {"\"hidden_size\": 40", "\"hidden_size\": 40.5", kInvalid, "hidden_size"},
           {"\"hidden_size\": 40", "\"hidden_size\": \"40\"", kInvalid, "hidden_size"},
           {"\"hidden_size\": 40", "\"width\": 40", kInvalid, "hidden_size is missing"},
           {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000", kInvalid, "num_hidden_layers"},
           {"\"num_attention_heads\": 9", "\"num_attention_heads\": 0", kInvalid, "num_attention_heads"},
           {"\"num_key_value_heads\": 3", "\"num_key_value_heads\": 0", kInvalid, "num_key_value_heads"},
           {"\"num_key_value_heads\": 3", "\"num_key_value_heads\": 4", kInvalid, "must be a multiple"},
           {"\"head_dim\": 14", "\"head_dim\": 13", kInvalid, "even number"},
           {"\"head_dim\": 14", "\"head_dim\": 1000000", kInvalid, "head_dim"},
           {"\"vocab_size\": 176", "\"vocab_size\": 4294967296", kInvalid, "vocab_size"},
           {"\"max_position_embeddings\": 512", "\"max_position_embeddings\": 0", kInvalid, "max_position"},
           {"\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": -1", kInvalid, "rms_norm_eps"},
           {"\"rope_theta\": 10000.0", "\"rope_theta\": 0", kInvalid, "rope_theta"},
           {"\"eos_token_id\": 1", "\"eos_token_id\": 176", kInvalid, "176 is no id"},
           {"\"eos_token_id\": 1", "\"eos_token_id\": [\"x\"]", kInvalid, "eos_token_id"},
           {"\"attention_bias\": true", "\"attention_bias\": 3", kInvalid, "attention_bias"},
       }) {
    ExpectRefusal("llama-gqa", refusal);
  }
}

TEST(LlamaCardTest, NamesWhatIsNotSupported) {
  for (const Refusal& refusal : std::initializer_list<Refusal>{
           {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\"", kUnimplemented, "\"mish\" is not supported"},
           {"\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", kUnimplemented,
            "\"mamba\" is not supported; supported: bert, "},
           {"\"model_type\": \"llama\"", "\"model_type\": \"llama\", \"sliding_window\": 4096", kUnimplemented,
            "sliding_window"},
           {"{", "{\"quantization_config\": {\"bits\": 4},", kUnimplemented, "quantization_config"},
           {"\"model_type\": \"llama\"", "\"model_kind\": \"llama\"", kInvalid, "model_type is missing"},
           {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"mrope\", \"factor\": 2}", kUnimplemented,
            "\"mrope\" is not supported"},
           {"\"rope_scaling\": null",
            "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1, 2], \"long_factor\": [1, 2]}", kInvalid,
            "short_factor has 2 numbers; expected 7"},
           {"\"rope_scaling\": null",
            "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [0], \"long_factor\": [1, 2]}", kInvalid,
            "short_factor"},
           {"\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\"}", kInvalid, "factor is missing"},
           {"\"rope_scaling\": null",
            "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4, "
            "\"original_max_position_embeddings\": 64}",
            kInvalid, "high_freq_factor must be greater"},
       }) {
    ExpectRefusal("llama-gqa", refusal);
  }
}

TEST(MistralCardTest, WindowIsOnEveryLayer) {
  ASSERT_OK_AND_ASSIGN(Architecture a, Card(EditedModel("mistral-window")));
  EXPECT_THAT(a.windows, ElementsAre(13, 13));
  ASSERT_OK_AND_ASSIGN(Architecture null, Card(EditedModel("mistral-tied-f16")));
  EXPECT_THAT(null.windows, ElementsAre());
  EditedModel first("mistral-window");
  first.Edit("config.json", "\"sliding_window\": 13,", "");
  ASSERT_OK_AND_ASSIGN(Architecture old, Card(first));
  EXPECT_THAT(old.windows, ElementsAre(4096, 4096));
}

TEST(QwenCardTest, WindowsOnlyWhereTheyAreUsed) {
  ASSERT_OK_AND_ASSIGN(Architecture unused, Card(EditedModel("qwen2-tied")));
  EXPECT_THAT(unused.windows, ElementsAre());
  EXPECT_TRUE(unused.qkv_bias && !unused.attention_out_bias && unused.tied_head);
  ASSERT_OK_AND_ASSIGN(Architecture upper, Card(EditedModel("qwen2-upper-windows")));
  EXPECT_THAT(upper.windows, ElementsAre(0, 20, 20));
  ASSERT_OK_AND_ASSIGN(Architecture yarn, Card(EditedModel("qwen2-yarn")));
  EXPECT_EQ(yarn.max_tokens, 320);
  EXPECT_NEAR(yarn.rope.attention_factor, 0.1 * std::log(4.0) + 1, 1e-12);
  ASSERT_OK_AND_ASSIGN(Architecture third, Card(EditedModel("qwen3-bias-dynamic")));
  EXPECT_THAT(third.windows, ElementsAre(30, 0, 30));
  EXPECT_EQ(third.qk_norm, QkNorm::kHead);
  EXPECT_EQ(third.max_tokens, 480);
}

TEST(GemmaCardTest, CapsWindowsAndLocalTheta) {
  ASSERT_OK_AND_ASSIGN(Architecture caps, Card(EditedModel("gemma2-caps")));
  EXPECT_EQ(caps.attention_softcap, 2.0f);
  EXPECT_EQ(caps.logit_softcap, 3.0f);
  EXPECT_THAT(caps.windows, ElementsAre(13, 0, 13));
  ASSERT_OK_AND_ASSIGN(Architecture none, Card(EditedModel("gemma2-no-caps")));
  EXPECT_EQ(none.attention_softcap, 0.0f);
  EXPECT_EQ(none.logit_softcap, 0.0f);
  ASSERT_OK_AND_ASSIGN(Architecture third, Card(EditedModel("gemma3-pattern")));
  EXPECT_THAT(third.windows, ElementsAre(9, 9, 0, 9));
  EXPECT_EQ(third.local_rope->theta, 500.0);
  EXPECT_EQ(third.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(third.rope.theta, 1e6);
  ASSERT_OK_AND_ASSIGN(Architecture listed, Card(EditedModel("gemma3-layer-types")));
  EXPECT_THAT(listed.windows, ElementsAre(0, 33, 0));
  EXPECT_EQ(listed.rope.theta, 70000.0);
  EXPECT_EQ(listed.local_rope->theta, 300.0);
  for (const Refusal& refusal : std::initializer_list<Refusal>{
           {"\"full_attention\",", "\"chunked_attention\",", kUnimplemented, "chunked_attention"},
           {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", kInvalid, "layer_types names 3 layers"},
           {"\"use_bidirectional_attention\": false", "\"use_bidirectional_attention\": true", kUnimplemented,
            "use_bidirectional_attention"},
       }) {
    ExpectRefusal("gemma3-layer-types", refusal);
  }
}

TEST(Phi3CardTest, ReadsLongRope) {
  ASSERT_OK_AND_ASSIGN(Architecture a, Card(EditedModel("phi3-longrope")));
  EXPECT_EQ(a.rope.scaling, RopeScaling::kLongRope);
  EXPECT_EQ(a.rope.rotary_dim, 12);
  EXPECT_EQ(a.rope.original_max_tokens, 64.0);
  EXPECT_NEAR(a.rope.attention_factor, std::sqrt(1 + std::log(8.0) / std::log(64.0)), 1e-12);
}

TEST(FalconCardTest, ThreeLayouts) {
  ASSERT_OK_AND_ASSIGN(Architecture multi_query, Card(EditedModel("falcon-multi-query")));
  EXPECT_EQ(multi_query.kv_heads, 1);
  EXPECT_EQ(multi_query.residual, ResidualOrder::kParallel);
  EXPECT_EQ(multi_query.tensors.mlp_norm, "");
  ASSERT_OK_AND_ASSIGN(Architecture grouped, Card(EditedModel("falcon-grouped")));
  EXPECT_EQ(grouped.kv_heads, 2);
  EXPECT_EQ(grouped.tensors.mlp_norm, "h.{}.ln_mlp");
  ASSERT_OK_AND_ASSIGN(Architecture rw, Card(EditedModel("falcon-rw-alibi")));
  EXPECT_EQ(rw.kv_heads, 6);
  EXPECT_EQ(rw.residual, ResidualOrder::kPre);
  EXPECT_TRUE(rw.alibi_bf16 && rw.positions == PositionKind::kNone);
  EXPECT_EQ(rw.alibi_slopes[0], 0.25f);
}

TEST(OtherCardsTest, NameWhatChangesTheMathematicsAndIsNotSupported) {
  ExpectRefusal("gpt2", {"\"scale_attn_by_inverse_layer_idx\": false", "\"scale_attn_by_inverse_layer_idx\": true",
                         kUnimplemented, "scale_attn_by_inverse_layer_idx = true"});
  ExpectRefusal("mpt", {"\"qk_ln\": false", "\"qk_ln\": true", kUnimplemented, "qk_ln = true"});
  ExpectRefusal("mpt", {"\"alibi\": true", "\"alibi\": false", kUnimplemented, "alibi = false"});
  ExpectRefusal("mpt", {"\"no_bias\": true", "\"no_bias\": false", kUnimplemented, "no_bias"});
  ExpectRefusal("mpt", {"\"n_heads\": 6", "\"n_heads\": 5", kInvalid, "not a multiple"});
  ExpectRefusal("bloom", {"\"apply_residual_connection_post_layernorm\": false",
                          "\"apply_residual_connection_post_layernorm\": true", kUnimplemented, "post_layernorm"});
  ExpectRefusal("falcon-multi-query",
                {"\"num_ln_in_parallel_attn\": null", "\"num_ln_in_parallel_attn\": 2", kUnimplemented, "num_ln"});
  ExpectRefusal("falcon-grouped", {"\"num_kv_heads\": 2", "\"num_kv_heads\": 5", kInvalid, "num_kv_heads 5"});
  ExpectRefusal("neox-parallel", {"\"rotary_pct\": 0.4", "\"rotary_pct\": 0.2", kInvalid, "rotary components"});
}

TEST(GptOssCardTest, ReadsAndRefuses) {
  ASSERT_OK_AND_ASSIGN(Architecture a, Card(EditedModel("gpt-oss-mxfp4")));
  EXPECT_EQ(a.experts, 5);
  EXPECT_EQ(a.experts_per_token, 2);
  EXPECT_THAT(a.windows, ElementsAre(19, 0));
  EXPECT_TRUE(a.attention_sinks && !a.rope.truncate);
  for (const Refusal& refusal : std::initializer_list<Refusal>{
           {"\"quant_method\": \"mxfp4\"", "\"quant_method\": \"gptq\"", kUnimplemented, "\"gptq\" is not supported"},
           {"{", "{\"swiglu_limit\": 5,", kUnimplemented, "swiglu_limit = 5"},
           {"\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 6", kInvalid, "exceeds num_local_experts 5"},
           {"\"rope_scaling\"", "\"rope\"", kInvalid, "rope_scaling is missing"},
       }) {
    ExpectRefusal("gpt-oss-mxfp4", refusal);
  }
}

TEST(Seq2SeqCardTest, ReadsBothStacks) {
  auto files = HfFolder::Open(TinyModel("flan-t5-gated"));
  ASSERT_THAT(files, testing::IsOk());
  ASSERT_OK_AND_ASSIGN(Seq2SeqArchitecture both, ReadSeq2SeqArchitecture(**files));
  EXPECT_EQ(both.encoder.layers, 2);
  EXPECT_EQ(both.decoder.layers, 3);
  EXPECT_EQ(both.start_id, 2);
  EXPECT_EQ(both.decoder.logit_scale, 1.0f);
  EXPECT_TRUE(both.decoder.cross_attention && both.decoder.causal && !both.encoder.causal);
  EditedModel model("flan-t5-gated");
  model.Edit("config.json", "gated-gelu", "gated-mish");
  auto edited = HfFolder::Open(model.path());
  ASSERT_THAT(edited, testing::IsOk());
  EXPECT_THAT(ReadSeq2SeqArchitecture(**edited), StatusIs(kUnimplemented, HasSubstr("gated-mish")));
}

TEST(RobertaCardTest, PositionsStartAfterThePaddingId) {
  ASSERT_OK_AND_ASSIGN(Architecture a, Card(EditedModel("xlm-roberta-cls")));
  EXPECT_EQ(a.position_offset, 6);
  EXPECT_EQ(a.max_tokens, 284);
  ExpectRefusal("xlm-roberta-cls", {"\"max_position_embeddings\": 290", "\"max_position_embeddings\": 6", kInvalid,
                                    "must exceed pad_token_id"});
}

TEST(BertCardTest, ReadsAndRefuses) {
  ASSERT_OK_AND_ASSIGN(Architecture a, Card(EditedModel("bert-cls-f16")));
  EXPECT_EQ(a.name, "bert");
  EXPECT_EQ(a.head_dim, 8);
  EXPECT_EQ(a.activation, kernels::ActivationKind::kGeluTanh);
  EXPECT_FALSE(a.causal);
  EXPECT_EQ(a.residual, ResidualOrder::kPost);
  for (const Refusal& refusal : std::initializer_list<Refusal>{
           {"\"num_attention_heads\": 5", "\"num_attention_heads\": 7", kInvalid, "not a multiple"},
           {"\"absolute\"", "\"relative_key\"", kUnimplemented, "relative_key"},
           {"{", "{\"is_decoder\": true,", kUnimplemented, "is_decoder"},
           {"\"type_vocab_size\": 2", "\"type_vocab_size\": 0", kInvalid, "type_vocab_size"},
           {"\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 2", kInvalid, "layer_norm_eps"},
       }) {
    ExpectRefusal("bert-cls-f16", refusal);
  }
}

}  // namespace
}  // namespace lastro::engine
