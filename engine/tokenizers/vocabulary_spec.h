// VocabularySpec: what a file format that is no tokenizer.json says of a tokenizer (a SentencePiece model, a GGUF
// file), in plain fields, and the tokenizer made of it. A reader of such a format fills the struct and calls
// BuildTokenizer. Plain value types; nothing here keeps state.
//
// From the metadata of a GGUF file (tokenizer.ggml.*): kind from `model` (VocabularyKind), tokens, scores, types from
// `token_type`, merges, pre_tokenizer from `pre` ("default" when absent), add_dummy_prefix from `add_space_prefix`
// (default true), remove_extra_whitespaces, charsmap from `precompiled_charsmap`, byte_fallback when any type is kByte,
// bos, eos, unknown from `bos_token_id` and so on (for bert eos is `seperator_token_id`), add_bos and add_eos from
// `add_bos_token` and `add_eos_token`; where these are absent llama adds BOS, t5 EOS and bert both.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/tokenizer.h"

namespace lastro::engine::tokenizers {

struct VocabularySpec {
  enum class Kind {
    kMergedPieces,  // SentencePiece BPE: neighbours merge into the piece with the best score
    kUnigram,       // SentencePiece Unigram
    kByteLevelBpe,  // GPT-2 and its descendants
    kWordPiece,     // BERT; lower-cased, accents stripped
  };
  // As SentencePiece and GGUF number them.
  enum class Type : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

  std::string source;  // opens error messages, such as the file's path
  Kind kind = Kind::kMergedPieces;
  std::vector<std::string> tokens;  // by id; UTF-8. kByteLevelBpe: spelled in the byte-level alphabet. kWordPiece:
                                    // starts of words begin with U+2581, continuations with nothing, as GGUF has them
  std::vector<float> scores;        // by id; the SentencePiece kinds only
  std::vector<Type> types;          // by id; empty: all normal
  std::vector<std::string> merges;  // "left right", best first; kByteLevelBpe only
  std::string pre_tokenizer;        // kByteLevelBpe: the splitting rule by GGUF's name ("tokenizer.ggml.pre")

  // Normalisation of the SentencePiece kinds.
  std::string charsmap;  // see charsmap.h; empty: none
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = false;
  bool escape_whitespaces = true;
  bool whitespace_as_suffix = false;
  bool byte_fallback = false;                // unknown characters become byte tokens; needs all 256 of them
  std::string unknown_surface = " \u2047 ";  // what the unknown token decodes to

  std::optional<int32_t> bos, eos, unknown;  // unknown: else the token of type kUnknown
  bool add_bos = false;                      // what EncodeOptions::add_special adds
  bool add_eos = false;
};

// The kind by GGUF's name ("tokenizer.ggml.model"): llama, t5, gpt2 or bert. UNIMPLEMENTED names any other.
absl::StatusOr<VocabularySpec::Kind> VocabularyKind(absl::string_view gguf_name);

// INVALID_ARGUMENT: lists of different lengths, a token that is too long or no UTF-8, an id out of range, a score that
// is not finite, no unknown token, missing byte tokens, a malformed merge or charsmap. UNIMPLEMENTED: a name in
// `pre_tokenizer` that is not known. An empty token gets a name, [EMPTY_id], and is never used. Control tokens never
// come out of text.
absl::StatusOr<std::unique_ptr<Tokenizer>> BuildTokenizer(VocabularySpec spec);

// The two families of BuildTokenizer; they expect a checked spec.
absl::StatusOr<std::unique_ptr<Tokenizer>> BuildSentencePiece(VocabularySpec spec);
absl::StatusOr<std::unique_ptr<Tokenizer>> BuildFromTokenizerJson(const VocabularySpec& spec);

}  // namespace lastro::engine::tokenizers
