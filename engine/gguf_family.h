// GgufFamily: how one architecture of GGUF corresponds to the names and layouts that Hugging Face gives the same model:
// metadata keys to config.json members, tensor names to tensor names, and what the conversion to GGUF changes in a
// tensor. Tables only, used in both directions (reading: engine/gguf_model.h; writing: engine/quantize.h).
//
// Source of the facts: gguf-py (gguf/constants.py, gguf/tensor_mapping.py) and convert_hf_to_gguf.py of llama.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lastro::engine {

enum class GgufField { kInt, kFloat, kBool };

struct GgufConfigRow {
  const char* config;  // member of config.json
  const char* gguf;    // metadata key after "<architecture>."
  GgufField field;
};

// What the conversion did to a tensor.
enum class GgufChange {
  kNone,
  kQueryRows,     // rows of each head interleaved for adjacent-pair rope; heads = attention.head_count
  kKeyRows,       // the same over attention.head_count_kv heads
  kFusedQkvRows,  // [queries of a group, key, value] per KV head became [all queries, all keys, all values]
  kNormPlusOne,   // 1 was added to a norm's weight
  kTransposed,    // [in, out] became [out, in]
  kExperts,       // tensors of single experts, "{e}" in their name, became one with the experts as its first dimension
};

struct GgufTensorRow {
  const char* gguf;  // without ".weight" or ".bias"; "{}" stands for the layer
  const char* hf;
  GgufChange change = GgufChange::kNone;
};

// What config.json says and GGUF leaves to be derived (gguf_config.cc).
enum class GgufDerived {
  kNone,
  kPartialRotary,  // partial_rotary_factor, of rope.dimension_count
  kNeoxRotary,     // rotary_pct, of rope.dimension_count
  kFalcon,         // which of the decoder architectures, of the head counts and norms
  kGemmaScale,     // query_pre_attn_scalar, of attention.scale, or as the published models have it
  kMpt,            // attn_config
  kGptOss,         // unrounded bounds of YaRN, which the format cannot say
};

struct GgufFamily {
  const char* architecture;  // general.architecture
  const char* model_type;    // of config.json
  const char* constants;     // members of config.json that every file has: "" or ", \"a\": 1"-like pairs
  GgufDerived derived;
  absl::Span<const GgufConfigRow> config;
  absl::Span<const GgufTensorRow> tensors;
  const char* marker = "";  // a tensor that tells this family from the next of its architecture; "": none
};

// The first family of `architecture` whose marker, if it has one, is a tensor of the file. Null when there is none.
const GgufFamily* FindGgufFamily(absl::string_view architecture,
                                 absl::FunctionRef<bool(absl::string_view tensor)> contains);
// The family that a config.json's model_type is written as, `contains` telling of Hugging Face names; null when there
// is none.
const GgufFamily* FindGgufFamilyOfModel(absl::string_view model_type,
                                        absl::FunctionRef<bool(absl::string_view tensor)> contains);
// For error messages.
std::string SupportedGgufArchitectures();

// A tensor name matched against one side of a table.
struct GgufTensorMatch {
  std::string name;  // on the other side
  GgufChange change = GgufChange::kNone;
};
std::optional<GgufTensorMatch> HfNameOf(const GgufFamily& family, absl::string_view gguf_name);
std::optional<GgufTensorMatch> GgufNameOf(const GgufFamily& family, absl::string_view hf_name);

struct HeadCounts {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};
// For a change that moves rows: element i is the row of the GGUF tensor that is row i of the Hugging Face tensor. Empty
// when `rows` is not what the heads make.
std::vector<int64_t> GgufRowOrder(GgufChange change, const HeadCounts& heads, int64_t rows);

}  // namespace lastro::engine
