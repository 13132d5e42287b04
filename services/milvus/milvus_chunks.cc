#include "services/milvus/milvus_chunks.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "services/grpc/limits.h"
#include "services/milvus/lexical_text.h"
#include "services/milvus/milvus_schema.h"
#include "services/proto_convert.h"

namespace lastro::services {
namespace {

using retrieval::Chunk;

constexpr size_t kBytesPerInsert = 8u << 20;
constexpr size_t kIdsPerCall = 1000;
constexpr int kBytesPerAnswer = kMaxResponseBytes / 2;  // Milvus puts something around what rows hold
constexpr int kOtherBytesPerRow = 1024;                 // an id, a hash

absl::Status TooLarge(const retrieval::Document& document, const Chunk& chunk, absl::string_view what, size_t bytes) {
  return absl::InvalidArgumentError(absl::StrCat("document ", document.uri, ", chunk ", chunk.ordinal, ": its ", what,
                                                 " takes ", bytes, " bytes, a row of Milvus holds ", kMaxColumnBytes,
                                                 "; make smaller chunks"));
}

absl::StatusOr<std::string> EncodedChunk(const retrieval::Document& document, const Chunk& chunk) {
  Chunk stored = chunk;
  stored.vector.clear();
  std::string body = absl::Base64Escape(ToProto(stored).SerializeAsString());
  if (body.size() > kMaxColumnBytes) return TooLarge(document, chunk, "text", body.size());
  return body;
}

absl::StatusOr<Chunk> DecodedChunk(int64_t id, const std::string& body) {
  std::string bytes;
  v1::Chunk proto;
  const bool parsed = absl::Base64Unescape(body, &bytes) && proto.ParseFromString(bytes);
  absl::StatusOr<Chunk> chunk = parsed ? FromProto(proto) : absl::DataLossError("");
  if (chunk.ok() && chunk->id == id) return chunk;
  return absl::DataLossError(absl::StrCat("Milvus: chunk ", id, " cannot be read",
                                          "; put its document again, or copy the store from a good one"));
}

std::string TextHash(const std::string& text_sha256) { return Hex(text_sha256).substr(0, 256); }

std::string WithIds(absl::Span<const int64_t> ids) { return absl::StrCat(kId, " in [", absl::StrJoin(ids, ","), "]"); }

absl::Status Uneven() { return absl::InternalError("the answer of Milvus is malformed: uneven columns"); }

}  // namespace

absl::Status MilvusChunks::Insert(const DocumentRecord& document, const FacetColumns& facets,
                                  absl::Span<const Chunk> chunks, const std::vector<std::vector<float>>& vectors,
                                  int64_t first_id) {
  MilvusRows rows;
  for (size_t i = 0; i < chunks.size(); ++i) {
    Chunk chunk = chunks[i];
    chunk.id = first_id + static_cast<int64_t>(i) * MilvusRecords::kVersionStep;
    chunk.document_id = document.document.id;
    LASTRO_ASSIGN_OR_RETURN(std::string body, EncodedChunk(document.document, chunk));
    LexicalColumns lexical = LexicalColumnsOf(document.document.title, chunk.headings, chunk.text);
    if (lexical.terms.size() > kMaxColumnBytes) {
      return TooLarge(document.document, chunk, "index of words", lexical.terms.size());
    }
    rows.AddInt(kId, chunk.id);
    rows.AddText(kDocument, chunk.document_id);
    rows.AddInt(kVersion, document.version);
    rows.AddInt(kOrdinal, chunk.ordinal);
    rows.AddText(kTextHash, TextHash(chunk.text_sha256));
    rows.AddText(kBody, std::move(body));
    rows.AddText(kTerms, std::move(lexical.terms));
    rows.AddText(kWords, std::move(lexical.words));
    facets.AddTo(&rows);
    rows.AddVector(kVector, vectors[i]);
    rows.EndRow();
    if (rows.bytes() >= kBytesPerInsert) LASTRO_RETURN_IF_ERROR(client_.Insert(collection_, &rows));
  }
  return client_.Insert(collection_, &rows);
}

absl::Status MilvusChunks::DropBefore(const std::string& document_id, int64_t version) {
  return client_.Delete(collection_,
                        absl::StrCat(kDocument, " == \"", document_id, "\" and ", kVersion, " < ", version));
}

absl::Status MilvusChunks::Drop(const std::string& document_id, int64_t version) {
  return client_.Delete(collection_,
                        absl::StrCat(kDocument, " == \"", document_id, "\" and ", kVersion, " == ", version));
}

absl::StatusOr<std::vector<MilvusCandidate>> MilvusChunks::Search(MilvusSearch search, const CallContext& context) {
  search.columns = {kDocument, kVersion};
  search.limit = std::min(search.limit, kMilvusMaxRows);
  LASTRO_ASSIGN_OR_RETURN(MilvusHits hits, client_.Search(collection_, search, context));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> documents, hits.columns.Texts(kDocument));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> versions, hits.columns.Ints(kVersion));
  if (documents.size() != hits.ids.size() || versions.size() != hits.ids.size()) return Uneven();
  std::vector<MilvusCandidate> candidates;
  for (size_t i = 0; i < hits.ids.size(); ++i) {
    candidates.push_back({hits.ids[i], std::move(documents[i]), versions[i], hits.scores[i]});
  }
  return candidates;
}

absl::StatusOr<std::vector<MilvusCandidate>> MilvusChunks::SearchVectors(const std::vector<float>& vector,
                                                                         const std::string& expression, int limit,
                                                                         const CallContext& context) {
  return Search({.field = kVector, .vector = vector, .expression = expression, .limit = limit}, context);
}

absl::StatusOr<std::vector<MilvusCandidate>> MilvusChunks::SearchText(const std::string& terms,
                                                                      const std::string& expression, int limit,
                                                                      const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(std::vector<MilvusCandidate> candidates,
                          Search({.field = kSparse, .text = terms, .expression = expression, .limit = limit}, context));
  // Some servers give distances, the negative of scores, and chunks that have none of the words.
  for (MilvusCandidate& candidate : candidates) candidate.score = std::abs(candidate.score);
  std::erase_if(candidates, [](const MilvusCandidate& candidate) { return !(candidate.score > 0); });
  return candidates;
}

int MilvusChunks::RowsPerCall(bool with_bodies, bool with_vectors) const {
  const int bytes = kOtherBytesPerRow + (with_bodies ? kMaxColumnBytes : 0) +
                    (with_vectors ? dimension_ * static_cast<int>(sizeof(float)) : 0);
  return std::clamp(kBytesPerAnswer / bytes, 1, kMilvusMaxRows);
}

absl::StatusOr<std::vector<Chunk>> MilvusChunks::ReadRows(const std::string& expression, int limit, bool with_vectors,
                                                          const MilvusReading& reading) {
  MilvusQuery query{.expression = expression, .columns = {kId, kBody}, .limit = limit};
  if (with_vectors) query.columns.push_back(kVector);
  LASTRO_ASSIGN_OR_RETURN(MilvusTable table, client_.Query(collection_, query, reading));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> ids, table.Ints(kId));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> bodies, table.Texts(kBody));
  std::vector<std::vector<float>> vectors;
  if (with_vectors) {
    LASTRO_ASSIGN_OR_RETURN(vectors, table.Vectors(kVector, dimension_));
  }
  if (bodies.size() != ids.size() || (with_vectors && vectors.size() != ids.size())) return Uneven();
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < ids.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(Chunk chunk, DecodedChunk(ids[i], bodies[i]));
    if (with_vectors) chunk.vector = std::move(vectors[i]);
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

absl::StatusOr<std::map<int64_t, std::vector<float>>> MilvusChunks::ReadVectors(absl::Span<const int64_t> ids,
                                                                                const CallContext& context) {
  const size_t most = static_cast<size_t>(RowsPerCall(/*with_bodies=*/false, /*with_vectors=*/true));
  std::map<int64_t, std::vector<float>> by_id;
  for (size_t begin = 0; begin < ids.size(); begin += most) {
    const absl::Span<const int64_t> some = ids.subspan(begin, most);
    const MilvusQuery query{
        .expression = WithIds(some), .columns = {kId, kVector}, .limit = static_cast<int>(some.size())};
    LASTRO_ASSIGN_OR_RETURN(MilvusTable table, client_.Query(collection_, query, {context}));
    LASTRO_ASSIGN_OR_RETURN(std::vector<int64_t> found, table.Ints(kId));
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::vector<float>> vectors, table.Vectors(kVector, dimension_));
    if (found.size() != vectors.size()) return Uneven();
    for (size_t i = 0; i < found.size(); ++i) by_id[found[i]] = std::move(vectors[i]);
  }
  return by_id;
}

absl::StatusOr<std::vector<Chunk>> MilvusChunks::Read(absl::Span<const int64_t> ids, bool with_vectors,
                                                      const CallContext& context) {
  const size_t most = static_cast<size_t>(RowsPerCall(/*with_bodies=*/true, with_vectors));
  std::vector<Chunk> chunks;
  for (size_t begin = 0; begin < ids.size(); begin += most) {
    const absl::Span<const int64_t> some = ids.subspan(begin, most);
    LASTRO_ASSIGN_OR_RETURN(std::vector<Chunk> read,
                            ReadRows(WithIds(some), static_cast<int>(some.size()), with_vectors, {context}));
    std::move(read.begin(), read.end(), std::back_inserter(chunks));
  }
  return chunks;
}

absl::StatusOr<std::vector<Chunk>> MilvusChunks::ReadRange(const std::string& document_id, int64_t version,
                                                           int64_t begin, int64_t end, bool with_vectors,
                                                           const MilvusReading& reading) {
  const int64_t most = RowsPerCall(/*with_bodies=*/true, with_vectors);
  std::vector<Chunk> chunks;
  for (; begin < end; begin += most) {
    const int64_t until = std::min(end, begin + most);
    const std::string expression = absl::StrCat(kDocument, " == \"", document_id, "\" and ", kVersion, " == ", version,
                                                " and ", kOrdinal, " >= ", begin, " and ", kOrdinal, " < ", until);
    LASTRO_ASSIGN_OR_RETURN(std::vector<Chunk> read,
                            ReadRows(expression, static_cast<int>(until - begin), with_vectors, reading));
    std::move(read.begin(), read.end(), std::back_inserter(chunks));
  }
  std::sort(chunks.begin(), chunks.end(),
            [](const Chunk& left, const Chunk& right) { return left.ordinal < right.ordinal; });
  return chunks;
}

absl::StatusOr<std::vector<std::vector<float>>> MilvusChunks::FindVectors(absl::Span<const std::string> text_sha256,
                                                                          const std::string& expression) {
  std::map<std::string, std::vector<float>> known;
  for (size_t begin = 0; begin < text_sha256.size(); begin += kIdsPerCall) {
    std::vector<std::string> literals;
    for (const std::string& key : text_sha256.subspan(begin, kIdsPerCall)) {
      literals.push_back(absl::StrCat("\"", TextHash(key), "\""));
    }
    // A text may be in many chunks, and one of each is enough, but there is no asking for that: where the texts are in
    // more chunks than an answer carries, some are not found.
    const std::string these = absl::StrCat(kTextHash, " in [", absl::StrJoin(literals, ","), "]");
    const MilvusQuery query{.expression = AllOf(these, expression),
                            .columns = {kTextHash, kVector},
                            .limit = RowsPerCall(/*with_bodies=*/false, /*with_vectors=*/true)};
    LASTRO_ASSIGN_OR_RETURN(MilvusTable table, client_.Query(collection_, query));
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> hashes, table.Texts(kTextHash));
    LASTRO_ASSIGN_OR_RETURN(std::vector<std::vector<float>> vectors, table.Vectors(kVector, dimension_));
    if (hashes.size() != vectors.size()) return Uneven();
    for (size_t i = 0; i < hashes.size(); ++i) known[hashes[i]] = std::move(vectors[i]);
  }
  std::vector<std::vector<float>> found;
  for (const std::string& key : text_sha256) {
    auto entry = known.find(TextHash(key));
    found.push_back(entry == known.end() ? std::vector<float>() : entry->second);
  }
  return found;
}

absl::StatusOr<int64_t> MilvusChunks::Count(const std::string& expression) {
  return client_.Count(collection_, expression);
}

}  // namespace lastro::services
