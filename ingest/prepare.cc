#include "ingest/prepare.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "ingest/chunker.h"
#include "ingest/language.h"
#include "ingest/reader.h"
#include "ingest/verify.h"
#include "retrieval/record_codec.h"

namespace lastro::ingest {
namespace {

constexpr size_t kLanguageSampleBytes = 64u << 10;

ReaderOptions ReaderOptionsOf(const PipelineOptions& options, bool any_text) {
  ReaderOptions reader;
  reader.max_text_bytes = options.max_text_bytes;
  reader.parser_timeout_s = options.parser_timeout_s;
  reader.parser_memory_bytes = options.parser_memory_bytes;
  reader.any_text = any_text;
  return reader;
}

std::string SampleText(const std::vector<Block>& blocks) {
  std::string sample;
  for (const Block& block : blocks) {
    if (sample.size() >= kLanguageSampleBytes) break;
    absl::StrAppend(&sample, block.content.text, "\n");
  }
  return sample;
}

// The file's name without folders and extension.
std::string TitleFromUri(const std::string& uri) {
  size_t slash = uri.rfind('/');
  std::string name = slash == std::string::npos ? uri : uri.substr(slash + 1);
  size_t dot = name.rfind('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

retrieval::Document DescribeDocument(const DocumentInput& input, const std::string& collection, ReadResult* read) {
  retrieval::Document document;
  document.collection = collection;
  document.uri = input.uri;
  document.title = read->title.empty() ? TitleFromUri(input.uri) : std::move(read->title);
  document.media_type = read->media_type;
  document.encoding = read->encoding;
  document.language = DetectLanguage(SampleText(read->blocks));
  document.source_kind = read->source_kind;
  document.content_sha256 = Sha256Hex(input.content);
  bool extracted = read->source_kind == retrieval::SourceKind::kExtractedText;
  document.source_sha256 = extracted ? Sha256Hex(read->extracted) : document.content_sha256;
  document.size_bytes = input.content.size();
  document.modified_at = input.modified_at;
  document.origin = input.origin;
  return document;
}

}  // namespace

PrepareFailure PrepareDocument(DocumentInput input, const std::string& collection, const GivenFacts& given,
                               const PipelineOptions& options, retrieval::TextEmbedder* embedder,
                               const CallContext& context, PreparedDocument* prepared) {
  absl::StatusOr<ReadResult> read =
      ReadContent(input.content, input.uri, input.media_type, ReaderOptionsOf(options, input.any_text), context);
  if (!read.ok()) return {read.status(), context.Check().ok()};
  absl::StatusOr<std::vector<retrieval::Chunk>> chunks =
      ChunkBlocks(read->blocks, ChunkerOptions{options.chunk_tokens}, embedder, context);
  if (!chunks.ok()) return {chunks.status(), absl::IsInvalidArgument(chunks.status())};
  prepared->document = DescribeDocument(input, collection, &*read);
  prepared->document.pipeline = PipelineFingerprint(options, given);
  prepared->document.metadata = given.metadata;
  prepared->document.labels = given.labels;
  prepared->chunks = *std::move(chunks);
  prepared->original = std::move(input.content);
  prepared->extracted = std::move(read->extracted);
  bool extracted = prepared->document.source_kind == retrieval::SourceKind::kExtractedText;
  return {VerifyChunks(prepared->chunks, extracted ? prepared->extracted : prepared->original), true};
}

std::string PipelineFingerprint(const PipelineOptions& options, const GivenFacts& given) {
  const std::string facts = absl::StrCat(retrieval::EncodeMetadata(given.metadata), absl::StrJoin(given.labels, "\n"));
  return absl::StrCat("readers-", kReaderVersion, " chunker-", kChunkerVersion, " tokens-", options.chunk_tokens,
                      " given-", Sha256Hex(facts).substr(0, 16));
}

}  // namespace lastro::ingest
