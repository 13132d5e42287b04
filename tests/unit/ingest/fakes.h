// Small stand-ins for the store and the embedding model, and helpers that read test documents.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/synchronization/mutex.h"
#include "base/hash.h"
#include "ingest/block.h"
#include "retrieval/chunk_store.h"
#include "retrieval/text_embedder.h"

namespace lastro::ingest {

// Tokens are runs of letters and digits (at most `max_word_bytes`, longer ones are one token) and single other marks.
class FakeEmbedder : public retrieval::TextEmbedder {
 public:
  static constexpr int kDimension = 8;

  absl::StatusOr<retrieval::EmbedderInfo> Info(const CallContext&) override {
    return retrieval::EmbedderInfo{"fake", fingerprint, kDimension, max_tokens, true};
  }

  absl::StatusOr<std::vector<float>> Embed(absl::Span<const std::string> texts, const CallContext& context) override {
    ++embed_calls;
    if (on_embed) on_embed();
    if (absl::Status status = context.Check(); !status.ok()) return status;
    std::vector<float> values;
    for (const std::string& text : texts) {
      if (!refused_word.empty() && text.find(refused_word) != std::string::npos) {
        return absl::InvalidArgumentError("the model refuses this text");
      }
      if (static_cast<int>(Spans(text).size()) + 2 > max_tokens) return absl::InvalidArgumentError("too many tokens");
      if (texts.size() > 64) return absl::InvalidArgumentError("too many texts");
      ++texts_embedded;
      for (int i = 0; i < kDimension; ++i) {
        values.push_back(static_cast<float>(Hash64(text + std::to_string(i)) % 1000) / 1000.0f);
      }
    }
    return values;
  }

  absl::StatusOr<std::vector<std::vector<retrieval::TokenSpan>>> Tokenize(absl::Span<const std::string> texts,
                                                                          const CallContext&) override {
    std::vector<std::vector<retrieval::TokenSpan>> spans;
    for (const std::string& text : texts) spans.push_back(Spans(text));
    return spans;
  }

  static std::vector<retrieval::TokenSpan> Spans(const std::string& text) {
    std::vector<retrieval::TokenSpan> spans;
    for (size_t at = 0; at < text.size();) {
      size_t end = at + 1;
      if (absl::ascii_isspace(text[at])) {
        at = end;
        continue;
      }
      while (IsWord(text[at]) && end < text.size() && IsWord(text[end])) ++end;
      // As WordPiece does: a word of up to 100 bytes takes a token for each 5 bytes, a longer one is unknown.
      size_t step = end - at > 100 ? end - at : 5;
      for (size_t part = at; part < end; part += step) {
        spans.push_back({static_cast<uint32_t>(part), static_cast<uint32_t>(std::min(part + step, end))});
      }
      at = end;
    }
    return spans;
  }

  std::string fingerprint = "fake-1";
  int max_tokens = 256;
  std::string refused_word;
  std::function<void()> on_embed;
  std::atomic<int> embed_calls{0};
  std::atomic<int> texts_embedded{0};

 private:
  static bool IsWord(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || (c & 0x80) != 0; }
};

// Everything in maps; what the pipeline does not call is UNIMPLEMENTED.
class FakeStore : public retrieval::ChunkStore {
 public:
  absl::StatusOr<std::unique_ptr<retrieval::ChunkStore>> WithScope(const Scope&) override {
    return absl::UnimplementedError("the pipeline gets a store in the scope of its caller");
  }

  struct Stored {
    retrieval::Document document;
    std::vector<retrieval::Chunk> chunks;
    std::string original, extracted;
    const std::string& source() const {
      return document.source_kind == retrieval::SourceKind::kExtractedText ? extracted : original;
    }
  };

  absl::Status CreateCollection(const retrieval::Collection& collection) override {
    absl::MutexLock lock(&mutex);
    bool added = collections.emplace(collection.name, collection).second;
    return added ? absl::OkStatus() : absl::AlreadyExistsError(collection.name);
  }
  absl::StatusOr<retrieval::Collection> GetCollection(const std::string& name) override {
    absl::MutexLock lock(&mutex);
    auto it = collections.find(name);
    if (it == collections.end()) return absl::NotFoundError(name);
    return it->second;
  }
  absl::StatusOr<std::vector<retrieval::Collection>> ListCollections() override { return Unimplemented(); }
  absl::Status DeleteCollection(const std::string&) override { return Unimplemented(); }

  absl::StatusOr<retrieval::Document> PutDocument(const retrieval::Document& document, const std::string& fingerprint,
                                                  absl::Span<const retrieval::Chunk> chunks,
                                                  const std::string& original, const std::string& extracted) override {
    absl::MutexLock lock(&mutex);
    if (!put_status.ok()) return put_status;
    if (fingerprint != collections[document.collection].embedding_fingerprint) {
      return absl::FailedPreconditionError("fingerprint");
    }
    Stored stored{document, {chunks.begin(), chunks.end()}, original, extracted};
    stored.document.id = "id:" + document.uri;
    stored.document.chunk_count = static_cast<int64_t>(chunks.size());
    documents[document.uri] = stored;
    ++puts;
    return stored.document;
  }
  absl::StatusOr<int64_t> DeleteDocuments(const std::string&, absl::Span<const std::string> ids) override {
    absl::MutexLock lock(&mutex);
    int64_t removed = 0;
    for (const std::string& id : ids) removed += static_cast<int64_t>(documents.erase(id.substr(3)));
    return removed;
  }
  absl::StatusOr<retrieval::Document> GetDocument(const std::string&, const std::string&) override {
    return Unimplemented();
  }
  absl::StatusOr<retrieval::Document> FindDocument(const std::string&, const std::string& uri) override {
    absl::MutexLock lock(&mutex);
    auto it = documents.find(uri);
    if (it == documents.end()) return absl::NotFoundError(uri);
    return it->second.document;
  }
  absl::StatusOr<retrieval::DocumentPage> ListDocuments(const std::string&, const retrieval::Filter&, int,
                                                        const std::string&) override {
    return Unimplemented();
  }
  absl::StatusOr<std::map<std::string, retrieval::DocumentState>> DocumentStates(const std::string&) override {
    absl::MutexLock lock(&mutex);
    std::map<std::string, retrieval::DocumentState> states;
    for (const auto& [uri, stored] : documents) {
      const retrieval::Document& document = stored.document;
      states[uri] = {document.id, document.content_sha256, document.pipeline, document.origin};
    }
    return states;
  }
  absl::StatusOr<std::vector<retrieval::Chunk>> GetChunks(const std::string&, const std::string&, bool) override {
    return Unimplemented();
  }
  absl::StatusOr<std::string> ReadSource(const std::string&, const std::string&, uint64_t, uint64_t) override {
    return Unimplemented();
  }
  absl::StatusOr<std::string> ReadOriginal(const std::string&, const std::string&) override { return Unimplemented(); }
  absl::StatusOr<std::vector<std::vector<float>>> FindVectors(const std::string&, const std::string&,
                                                              absl::Span<const std::string> keys) override {
    absl::MutexLock lock(&mutex);
    std::map<std::string, std::vector<float>> known;
    for (const auto& [uri, stored] : documents) {
      for (const retrieval::Chunk& chunk : stored.chunks) known[chunk.text_sha256] = chunk.vector;
    }
    std::vector<std::vector<float>> found;
    for (const std::string& key : keys) found.push_back(known[key]);
    return found;
  }
  absl::StatusOr<retrieval::Reembedding> GetReembedding(const std::string&) override { return Unimplemented(); }
  absl::StatusOr<retrieval::Reembedding> BeginReembedding(const std::string&, const retrieval::VectorSet&) override {
    return Unimplemented();
  }
  absl::StatusOr<retrieval::UnembeddedChunks> FindUnembedded(const std::string&, const std::string&, int64_t,
                                                             int) override {
    return Unimplemented();
  }
  absl::StatusOr<int64_t> PutVectors(const std::string&, const std::string&,
                                     absl::Span<const retrieval::TextVector>) override {
    return Unimplemented();
  }
  absl::Status PrepareVectors(const std::string&, const std::string&) override { return Unimplemented(); }
  absl::StatusOr<retrieval::Reembedding> SwitchVectors(const std::string&, const std::string&) override {
    return Unimplemented();
  }
  absl::StatusOr<retrieval::Reembedding> DropVectors(const std::string&, const std::string&) override {
    return Unimplemented();
  }
  absl::StatusOr<retrieval::SearchResult> Search(const retrieval::SearchQuery&, const CallContext&) override {
    return Unimplemented();
  }
  absl::Status PutJob(const retrieval::Job& job) override {
    absl::MutexLock lock(&mutex);
    jobs[job.id] = job;
    job_states.push_back(job.state);
    return absl::OkStatus();
  }
  absl::StatusOr<retrieval::Job> GetJob(const std::string&) override { return Unimplemented(); }
  absl::StatusOr<std::vector<retrieval::Job>> ListJobs() override { return Unimplemented(); }

  std::set<std::string> Uris() {
    absl::MutexLock lock(&mutex);
    std::set<std::string> uris;
    for (const auto& [uri, stored] : documents) uris.insert(uri);
    return uris;
  }

  absl::Mutex mutex;
  std::map<std::string, retrieval::Collection> collections;
  std::map<std::string, Stored> documents;  // by uri; one collection is enough here
  std::map<std::string, retrieval::Job> jobs;
  std::vector<retrieval::JobState> job_states;
  int puts = 0;
  absl::Status put_status;

 private:
  static absl::Status Unimplemented() { return absl::UnimplementedError("not in this fake"); }
};

// The texts of blocks, headings marked by their level: "1:Title".
inline std::vector<std::string> TextsOf(const std::vector<Block>& blocks) {
  std::vector<std::string> texts;
  for (const Block& block : blocks) {
    std::string mark = block.kind == BlockKind::kHeading ? std::to_string(block.level) + ":" : "";
    texts.push_back(mark + block.content.text);
  }
  return texts;
}

// "" when every verbatim segment of `mapped` holds the bytes of `source` and all segments are in range and order; else
// what is wrong.
inline std::string MapError(const MappedText& mapped, absl::string_view source) {
  uint64_t end = 0;
  for (const retrieval::SourceSegment& segment : mapped.segments) {
    std::string where = " at text byte " + std::to_string(segment.text_begin);
    if (segment.text_begin < end || segment.text_length == 0) return "order" + where;
    end = segment.text_begin + segment.text_length;
    if (end > mapped.text.size()) return "text range" + where;
    if (segment.source_begin + segment.source_length > source.size()) return "source range" + where;
    if (segment.verbatim && absl::string_view(mapped.text).substr(segment.text_begin, segment.text_length) !=
                                source.substr(segment.source_begin, segment.source_length)) {
      return "bytes differ" + where;
    }
  }
  return "";
}

// The source bytes that the first occurrence of `piece` in `mapped` maps to; "<none>" when there are none.
inline std::string SourceOf(const MappedText& mapped, absl::string_view source, absl::string_view piece) {
  size_t at = mapped.text.find(std::string(piece));
  if (at == std::string::npos) return "<not in the text>";
  uint64_t begin = UINT64_MAX, end = 0;
  for (const retrieval::SourceSegment& s : Slice(mapped, at, at + piece.size()).segments) {
    begin = std::min(begin, s.source_begin);
    end = std::max(end, s.source_begin + s.source_length);
  }
  return begin >= end ? "<none>" : std::string(source.substr(begin, end - begin));
}

}  // namespace lastro::ingest
