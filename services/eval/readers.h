// Readers of evaluation data. Pure functions of the files; thread-safe. Files may be zstd (see input_file.h). Errors
// name file and line, or the place in a JSON document: NOT_FOUND, INVALID_ARGUMENT, RESOURCE_EXHAUSTED.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/eval/dataset.h"

namespace lastro::services::eval {

enum class DataFormat {
  kAuto,   // a folder is kBeir, a file of one JSON document kSquad, any other kLines
  kBeir,   // corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv or qrels.tsv
  kSquad,  // one JSON document
  kLines,  // one JSON object a line
};

struct ReadOptions {
  DataFormat format = DataFormat::kAuto;
  std::string split = "test";  // kBeir
  std::string language;        // of questions that do not say theirs: "en", "pt" or ""
};

absl::StatusOr<Dataset> ReadDataset(const std::string& path, const ReadOptions& options);

// BEIR (Thakur et al. 2021). A query's `answer` or `answers`, where there are any, are its gold answers. Queries
// without a judgement above 0 are left out.
absl::StatusOr<Dataset> ReadBeir(const std::string& folder, const ReadOptions& options);

// SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): `is_impossible` questions are unanswerable. Paragraphs are passages.
absl::StatusOr<Dataset> ReadSquad(absl::string_view content, const std::string& path, const ReadOptions& options);

// Objects with `question` and, all optional: `id`, `answers` or `answer`, `answerable`, `context` (the passage that
// holds the answer) with `title`, `lang`, `source` (a group to report by). Where no line has a `context`, the questions
// are about the documents of a collection; `document` is then the uri of the one that answers.
absl::StatusOr<Dataset> ReadLines(absl::string_view content, const std::string& path, const ReadOptions& options);

}  // namespace lastro::services::eval
