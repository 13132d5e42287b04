#include "retrieval/result_cache.h"

#include "retrieval/byte_codec.h"
#include "retrieval/record_codec.h"

namespace lastro::retrieval {
namespace {

// Every field of the query is in it: add those that are new here too.
std::string KeyOf(const SearchQuery& query, const SearchTarget& target, int64_t commit) {
  ByteWriter writer;
  writer.Signed(commit);
  writer.String(target.collection);
  writer.String(query.collection);  // what the hits name it
  writer.String(EncodeFilter(target.visible));
  writer.String(query.text);
  writer.String(
      absl::string_view(reinterpret_cast<const char*>(query.vector.data()), query.vector.size() * sizeof(float)));
  writer.String(query.fingerprint);
  writer.String(query.vectors_of);
  writer.Varint(static_cast<uint64_t>(query.mode));
  writer.Signed(query.limit);
  writer.String(EncodeFilter(query.filter));
  writer.Signed(query.max_per_document);
  writer.Double(query.dense_weight);
  writer.Varint(static_cast<uint64_t>(query.fusion));
  writer.Signed(query.rrf_k);
  writer.Signed(query.context_chunks);
  writer.Varint(query.with_vectors ? 1 : 0);
  return writer.Take();
}

size_t BytesOf(const Chunk& chunk) {
  size_t bytes = sizeof(Chunk) + chunk.text.size() + chunk.segments.size() * sizeof(SourceSegment) +
                 chunk.vector.size() * sizeof(float);
  for (const std::string& heading : chunk.headings) bytes += sizeof(std::string) + heading.size();
  for (const NamedCell& cell : chunk.cells) bytes += sizeof(NamedCell) + cell.column.size();
  return bytes;
}

size_t BytesOf(const SearchHit& hit) {
  const Document& document = hit.document;
  size_t bytes = sizeof(SearchHit) + BytesOf(hit.chunk) + document.title.size() + document.uri.size();
  for (const std::vector<Chunk>* neighbours : {&hit.before, &hit.after}) {
    for (const Chunk& chunk : *neighbours) bytes += BytesOf(chunk);
  }
  return bytes + 2 * EncodeMetadata(document.metadata).size();
}

}  // namespace

std::shared_ptr<const SearchResult> ResultCache::Find(const SearchQuery& query, const SearchTarget& target,
                                                      int64_t commit) {
  return results_.Find(KeyOf(query, target, commit));
}

void ResultCache::Insert(const SearchQuery& query, const SearchTarget& target, const SearchResult& result) {
  size_t bytes = sizeof(SearchResult);
  for (const SearchHit& hit : result.hits) bytes += BytesOf(hit);
  results_.Insert(KeyOf(query, target, result.commit), std::make_shared<SearchResult>(result), bytes);
}

}  // namespace lastro::retrieval
