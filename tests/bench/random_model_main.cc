// random_model SHAPE FOLDER: a Hugging Face folder with the true shapes of a model and random bf16 weights, for
// benchmarks, whose speed does not depend on what the weights say.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/bfloat16.h"

namespace lastro {
namespace {

struct Shape {
  const char* name;
  bool encoder;
  int hidden, layers, heads, kv_heads, intermediate, vocab, context;
  bool tied;
  int rope_factor;
};
constexpr Shape kShapes[] = {
    {"llama-3.2-1b", false, 2048, 16, 32, 8, 8192, 128256, 131072, true, 32},
    {"llama-3.2-3b", false, 3072, 28, 24, 8, 8192, 128256, 131072, true, 32},
    {"llama-3.1-8b", false, 4096, 32, 32, 8, 14336, 128256, 131072, false, 8},
    {"minilm-l6", true, 384, 6, 12, 12, 1536, 30522, 512, true, 0},
    {"bge-base", true, 768, 12, 12, 12, 3072, 30522, 512, true, 0},
};

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  bool ones = false;  // else random; vectors that are no norm are zero

  int64_t elements() const {
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    return count;
  }
};

std::vector<Tensor> DecoderTensors(const Shape& s) {
  const int64_t hidden = s.hidden, head = hidden / s.heads;
  std::vector<Tensor> tensors = {{"model.embed_tokens.weight", {s.vocab, hidden}},
                                 {"model.norm.weight", {hidden}, true}};
  if (!s.tied) tensors.push_back({"lm_head.weight", {s.vocab, hidden}});
  for (int layer = 0; layer < s.layers; ++layer) {
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    const std::vector<Tensor> some = {{"input_layernorm.weight", {hidden}, true},
                                      {"self_attn.q_proj.weight", {s.heads * head, hidden}},
                                      {"self_attn.k_proj.weight", {s.kv_heads * head, hidden}},
                                      {"self_attn.v_proj.weight", {s.kv_heads * head, hidden}},
                                      {"self_attn.o_proj.weight", {hidden, s.heads * head}},
                                      {"post_attention_layernorm.weight", {hidden}, true},
                                      {"mlp.gate_proj.weight", {s.intermediate, hidden}},
                                      {"mlp.up_proj.weight", {s.intermediate, hidden}},
                                      {"mlp.down_proj.weight", {hidden, s.intermediate}}};
    for (const Tensor& tensor : some) tensors.push_back({prefix + tensor.name, tensor.shape, tensor.ones});
  }
  return tensors;
}

std::vector<Tensor> EncoderTensors(const Shape& s) {
  const int64_t hidden = s.hidden;
  std::vector<Tensor> tensors = {{"embeddings.word_embeddings.weight", {s.vocab, hidden}},
                                 {"embeddings.position_embeddings.weight", {s.context, hidden}},
                                 {"embeddings.token_type_embeddings.weight", {2, hidden}}};
  auto norm = [&](const std::string& name) {
    tensors.push_back({name + ".weight", {hidden}, true});
    tensors.push_back({name + ".bias", {hidden}});
  };
  auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    tensors.push_back({name + ".weight", {out, in}});
    tensors.push_back({name + ".bias", {out}});
  };
  norm("embeddings.LayerNorm");
  for (int layer = 0; layer < s.layers; ++layer) {
    const std::string prefix = absl::StrCat("encoder.layer.", layer, ".");
    for (const char* part : {"query", "key", "value"}) linear(prefix + "attention.self." + part, hidden, hidden);
    linear(prefix + "attention.output.dense", hidden, hidden);
    norm(prefix + "attention.output.LayerNorm");
    linear(prefix + "intermediate.dense", s.intermediate, hidden);
    linear(prefix + "output.dense", hidden, s.intermediate);
    norm(prefix + "output.LayerNorm");
  }
  return tensors;
}

std::string DecoderConfig(const Shape& s) {
  return absl::StrCat(
      R"({"model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "hidden_size": )",
      s.hidden, R"(, "num_hidden_layers": )", s.layers, R"(, "num_attention_heads": )", s.heads,
      R"(, "num_key_value_heads": )", s.kv_heads, R"(, "intermediate_size": )", s.intermediate, R"(, "vocab_size": )",
      s.vocab, R"(, "max_position_embeddings": )", s.context, R"(, "tie_word_embeddings": )", s.tied ? "true" : "false",
      R"(, "rope_scaling": {"rope_type": "llama3", "factor": )", s.rope_factor,
      R"(, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})");
}

std::string EncoderConfig(const Shape& s) {
  return absl::StrCat(R"({"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_size": )",
                      s.hidden, R"(, "num_hidden_layers": )", s.layers, R"(, "num_attention_heads": )", s.heads,
                      R"(, "intermediate_size": )", s.intermediate, R"(, "vocab_size": )", s.vocab,
                      R"(, "max_position_embeddings": )", s.context, R"(, "type_vocab_size": 2})");
}

// Byte tokens; the rest of the vocabulary has no text.
std::string DecoderTokenizer() {
  std::vector<std::string> entries;
  for (int code = 33; code < 127; ++code) {
    const std::string text = code == '"' || code == '\\' ? absl::StrCat("\\", std::string(1, static_cast<char>(code)))
                                                         : std::string(1, static_cast<char>(code));
    entries.push_back(absl::StrCat("\"", text, "\": ", entries.size()));
  }
  entries.push_back(absl::StrCat("\"\u0120\": ", entries.size()));  // the space
  return absl::StrCat(R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, )",
                      R"("decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "merges": [], "vocab": {)",
                      absl::StrJoin(entries, ", "), "}}}");
}

// The words of `lastro bench`, a token each.
std::string EncoderTokenizer() {
  std::vector<std::string> entries;
  for (const char* word : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ship", "paper", "water", "city", "house",
                           "light", "order", "table"}) {
    entries.push_back(absl::StrCat("\"", word, "\": ", entries.size()));
  }
  return absl::StrCat(
      R"({"added_tokens": [{"id": 2, "content": "[CLS]", "special": true}, )",
      R"({"id": 3, "content": "[SEP]", "special": true}], "normalizer": {"type": "BertNormalizer", "lowercase": true}, )",
      R"("pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": {"type": "BertProcessing", )",
      R"("sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "model": {"type": "WordPiece", "unk_token": "[UNK]", )",
      R"("continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {)", absl::StrJoin(entries, ", "),
      "}}}");
}

void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

void WriteWeights(const std::filesystem::path& path, const std::vector<Tensor>& tensors) {
  std::vector<std::string> entries;
  int64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    const int64_t end = offset + 2 * tensor.elements();
    entries.push_back(absl::StrCat("\"", tensor.name, R"(": {"dtype": "BF16", "shape": [)",
                                   absl::StrJoin(tensor.shape, ", "), R"(], "data_offsets": [)", offset, ", ", end,
                                   "]}"));
    offset = end;
  }
  std::string header = absl::StrCat("{", absl::StrJoin(entries, ", "), "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&size), sizeof(size)) << header;

  // One run of numbers, read from another place for every piece.
  constexpr int64_t kNumbers = int64_t{1} << 22, kPiece = int64_t{1} << 20;
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<uint16_t> numbers(kNumbers), same(kPiece);
  for (uint16_t& number : numbers) number = kernels::FloatToBf16(normal(random));
  for (const Tensor& tensor : tensors) {
    const bool vector = tensor.shape.size() == 1;
    same.assign(same.size(), kernels::FloatToBf16(tensor.ones ? 1.0f : 0.0f));
    for (int64_t left = tensor.elements(); left > 0;) {
      const int64_t count = std::min(left, kPiece);
      const uint16_t* from = vector ? same.data() : numbers.data() + random() % (kNumbers - kPiece);
      out.write(reinterpret_cast<const char*>(from), 2 * count);
      left -= count;
    }
  }
  if (!out.flush()) {
    std::cerr << "random_model: " << path << " could not be written\n";
    std::exit(1);
  }
}

int Main(int argc, char** argv) {
  for (const Shape& shape : kShapes) {
    if (argc != 3 || shape.name != std::string(argv[1])) continue;
    const std::filesystem::path folder = argv[2];
    WriteText(folder / "config.json", shape.encoder ? EncoderConfig(shape) : DecoderConfig(shape));
    WriteText(folder / "tokenizer.json", shape.encoder ? EncoderTokenizer() : DecoderTokenizer());
    if (shape.encoder) {
      WriteText(folder / "modules.json",
                R"([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
{"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])");
      WriteText(folder / "1_Pooling" / "config.json", absl::StrCat(R"({"word_embedding_dimension": )", shape.hidden,
                                                                   R"(, "pooling_mode_mean_tokens": true})"));
    }
    WriteWeights(folder / "model.safetensors", shape.encoder ? EncoderTensors(shape) : DecoderTensors(shape));
    return 0;
  }
  std::cerr << "usage: random_model SHAPE FOLDER; shapes:";
  for (const Shape& shape : kShapes) std::cerr << " " << shape.name;
  std::cerr << "\n";
  return 2;
}

}  // namespace
}  // namespace lastro

int main(int argc, char** argv) { return lastro::Main(argc, argv); }
