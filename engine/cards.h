// Cards: one function per family that maps its configuration to an Architecture. To add a family, add a file under
// engine/cards/ and a row to the table in cards.cc. Pure functions, thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/architecture.h"
#include "engine/model_files.h"

namespace lastro::engine {

// The architecture that config.json's model_type names. UNIMPLEMENTED for a family or option that this version does not
// support (named, with those it does); INVALID_ARGUMENT for a field that is missing, of another type or out of range.
absl::StatusOr<Architecture> ReadArchitecture(const ModelFiles& files);

// True when config.json's model_type is a family of encoder and decoder.
bool IsSeq2Seq(const ModelFiles& files);
// As ReadArchitecture, for these.
absl::StatusOr<Seq2SeqArchitecture> ReadSeq2SeqArchitecture(const ModelFiles& files);

absl::StatusOr<Seq2SeqArchitecture> BartCard(const ModelFiles& files);
absl::StatusOr<Seq2SeqArchitecture> T5Card(const ModelFiles& files);  // T5, T5 1.1, FLAN-T5

absl::StatusOr<Architecture> BertCard(const ModelFiles& files);  // BERT encoders (MiniLM, BGE, E5)
absl::StatusOr<Architecture> BloomCard(const ModelFiles& files);
absl::StatusOr<Architecture> DistilBertCard(const ModelFiles& files);
absl::StatusOr<Architecture> FalconCard(const ModelFiles& files);
absl::StatusOr<Architecture> GemmaCard(const ModelFiles& files);   // Gemma
absl::StatusOr<Architecture> Gemma2Card(const ModelFiles& files);  // Gemma 2
absl::StatusOr<Architecture> Gemma3Card(const ModelFiles& files);  // Gemma 3, text only
absl::StatusOr<Architecture> Gpt2Card(const ModelFiles& files);
absl::StatusOr<Architecture> GptNeoxCard(const ModelFiles& files);  // GPT-NeoX, Pythia, Dolly
absl::StatusOr<Architecture> GptOssCard(const ModelFiles& files);
absl::StatusOr<Architecture> LlamaCard(const ModelFiles& files);  // Llama 1-3, SmolLM, TinyLlama
absl::StatusOr<Architecture> MistralCard(const ModelFiles& files);
absl::StatusOr<Architecture> MixtralCard(const ModelFiles& files);
absl::StatusOr<Architecture> ModernBertCard(const ModelFiles& files);
absl::StatusOr<Architecture> MptCard(const ModelFiles& files);
absl::StatusOr<Architecture> Phi3Card(const ModelFiles& files);   // Phi-3, 3.5 and 4
absl::StatusOr<Architecture> Qwen2Card(const ModelFiles& files);  // Qwen2, 2.5
absl::StatusOr<Architecture> Qwen3Card(const ModelFiles& files);  // Qwen3, Qwen3-Embedding
absl::StatusOr<Architecture> Qwen3MoeCard(const ModelFiles& files);
absl::StatusOr<Architecture> RobertaCard(const ModelFiles& files);  // RoBERTa, XLM-R, CamemBERT

}  // namespace lastro::engine
