#include "services/store_copy.h"

#include <bit>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "retrieval/record_codec.h"

namespace lastro::services {
namespace {

using retrieval::Chunk;
using retrieval::ChunkStore;
using retrieval::Collection;
using retrieval::Document;

constexpr int kDocumentsPerPage = 200;
constexpr uint64_t kBytesPerRead = 4u << 20;
constexpr int kReadAttempts = 3;

// A document as PutDocument takes it.
struct WholeDocument {
  Document document;
  std::vector<Chunk> chunks;
  std::string original;
  std::string extracted;
};

// Every field is preceded by its length, so that no two sequences of fields hash alike.
class FieldHash {
 public:
  void Add(absl::string_view field) {
    Add(static_cast<uint64_t>(field.size()));
    hash_.Update(field);
  }
  void Add(uint64_t number) {
    char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
    hash_.Update(absl::string_view(bytes, sizeof bytes));
  }
  std::string Finish() { return hash_.FinishHex(); }

 private:
  Sha256 hash_;
};

void AddRecord(const Document& document, FieldHash* hash) {
  for (const std::string* text :
       {&document.uri, &document.title, &document.media_type, &document.encoding, &document.content_sha256,
        &document.source_sha256, &document.origin, &document.pipeline}) {
    hash->Add(*text);
  }
  hash->Add(static_cast<uint64_t>(document.language));
  hash->Add(static_cast<uint64_t>(document.source_kind));
  hash->Add(document.size_bytes);
  hash->Add(static_cast<uint64_t>(absl::ToUnixNanos(document.modified_at)));
  hash->Add(retrieval::EncodeMetadata(document.metadata));
  hash->Add(document.labels.size());
  for (const std::string& label : document.labels) hash->Add(label);
}

void AddChunk(const Chunk& chunk, FieldHash* hash) {
  hash->Add(static_cast<uint64_t>(chunk.ordinal));
  hash->Add(chunk.text);
  hash->Add(static_cast<uint64_t>(chunk.tokens));
  hash->Add(retrieval::EncodeLayout(chunk));
  hash->Add(retrieval::JoinHeadings(chunk.headings));
  hash->Add(chunk.text_sha256);
  hash->Add(chunk.vector.size());
  for (float value : chunk.vector) hash->Add(uint64_t{std::bit_cast<uint32_t>(value)});
}

std::string DigestOf(const WholeDocument& whole) {
  FieldHash hash;
  AddRecord(whole.document, &hash);
  hash.Add(whole.chunks.size());
  for (const Chunk& chunk : whole.chunks) AddChunk(chunk, &hash);
  hash.Add(whole.original);
  hash.Add(whole.extracted);
  return hash.Finish();
}

absl::StatusOr<std::string> ReadWholeSource(ChunkStore& store, const std::string& collection,
                                            const std::string& document_id) {
  std::string source;
  while (true) {
    LASTRO_ASSIGN_OR_RETURN(std::string piece,
                            store.ReadSource(collection, document_id, source.size(), source.size() + kBytesPerRead));
    source += piece;
    if (piece.size() < kBytesPerRead) return source;
  }
}

absl::StatusOr<WholeDocument> ReadParts(ChunkStore& store, const std::string& collection, const Document& document) {
  const std::string& id = document.id;
  WholeDocument whole;
  whole.document = document;
  LASTRO_ASSIGN_OR_RETURN(whole.chunks, store.GetChunks(collection, id, /*with_vectors=*/true));
  LASTRO_ASSIGN_OR_RETURN(whole.original, store.ReadOriginal(collection, id));
  if (whole.document.source_kind == retrieval::SourceKind::kExtractedText) {
    LASTRO_ASSIGN_OR_RETURN(whole.extracted, ReadWholeSource(store, collection, id));
  }
  return whole;
}

// The parts are read one after the other: of one version, and what went wrong believed, when the document is the same
// before and after.
absl::StatusOr<WholeDocument> ReadWhole(ChunkStore& store, const std::string& collection, const std::string& id) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    LASTRO_ASSIGN_OR_RETURN(Document before, store.GetDocument(collection, id));
    absl::StatusOr<WholeDocument> whole = ReadParts(store, collection, before);
    LASTRO_ASSIGN_OR_RETURN(Document after, store.GetDocument(collection, id));
    if (after.ingested_at == before.ingested_at && after.content_sha256 == before.content_sha256) return whole;
  }
  return absl::AbortedError(absl::StrCat("collection ", collection, ", document with id ", id,
                                         ": it was replaced again and again while it was read",
                                         "; copy when less is written"));
}

class StoreCopier {
 public:
  StoreCopier(ChunkStore& from, ChunkStore& to, const StoreCopyOptions& options, const CallContext& context)
      : from_(from), to_(to), options_(options), context_(context) {}

  absl::StatusOr<StoreCopyReport> Run() {
    LASTRO_ASSIGN_OR_RETURN(std::vector<Collection> collections, Chosen());
    for (const Collection& collection : collections) LASTRO_RETURN_IF_ERROR(CopyCollection(collection));
    report_.sha256 = digests_.Finish();
    return report_;
  }

 private:
  absl::StatusOr<std::vector<Collection>> Chosen() {
    if (options_.collection.empty()) return from_.ListCollections();
    LASTRO_ASSIGN_OR_RETURN(Collection collection, from_.GetCollection(options_.collection));
    return std::vector<Collection>{std::move(collection)};
  }

  absl::Status CopyCollection(const Collection& collection) {
    LASTRO_RETURN_IF_ERROR(EnsureCollection(collection));
    ++report_.collections;
    digests_.Add(collection.name);
    done_here_ = kept_here_ = 0;
    std::string token;
    do {
      LASTRO_ASSIGN_OR_RETURN(retrieval::DocumentPage page,
                              from_.ListDocuments(collection.name, {}, kDocumentsPerPage, token));
      for (const Document& document : page.documents) {
        LASTRO_RETURN_IF_ERROR(context_.Check());
        LASTRO_RETURN_IF_ERROR(CopyDocument(collection, document));
        if (options_.progress) options_.progress(collection.name, ++done_here_, collection.documents);
      }
      token = page.next_page_token;
    } while (!token.empty());
    return CheckCount(collection.name);
  }

  absl::Status EnsureCollection(const Collection& collection) {
    absl::StatusOr<Collection> there = to_.GetCollection(collection.name);
    if (absl::IsNotFound(there.status())) return to_.CreateCollection(collection);
    LASTRO_RETURN_IF_ERROR(there.status());
    if (there->embedding_fingerprint == collection.embedding_fingerprint && there->dimension == collection.dimension) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "collection ", collection.name, ": the target has one of this name with vectors of ", there->embedding_model,
        " (", there->dimension, " numbers), the source's are of ", collection.embedding_model, " (",
        collection.dimension, "); delete the target's, or ingest the documents there"));
  }

  absl::Status CopyDocument(const Collection& collection, const Document& listed) {
    absl::StatusOr<WholeDocument> read = ReadWhole(from_, collection.name, listed.id);
    if (absl::IsNotFound(read.status())) {
      ++report_.documents_vanished;
      return absl::OkStatus();
    }
    LASTRO_RETURN_IF_ERROR(read.status());
    const WholeDocument& whole = *read;
    LASTRO_RETURN_IF_ERROR(CheckModel(collection));
    const std::string digest = DigestOf(whole);
    LASTRO_ASSIGN_OR_RETURN(bool equal, IsThere(collection.name, whole.document.uri, digest));
    if (!equal) LASTRO_RETURN_IF_ERROR(Put(collection, digest, whole));
    ++(equal ? report_.documents_equal : report_.documents_copied);
    ++kept_here_;
    report_.chunks += static_cast<int64_t>(whole.chunks.size());
    report_.bytes += static_cast<int64_t>(whole.original.size());
    digests_.Add(digest);
    return absl::OkStatus();
  }

  // What was read until now has the vectors of the model that the copy began with.
  absl::Status CheckModel(const Collection& collection) {
    LASTRO_ASSIGN_OR_RETURN(Collection now, from_.GetCollection(collection.name));
    if (now.embedding_fingerprint == collection.embedding_fingerprint) return absl::OkStatus();
    return absl::AbortedError(absl::StrCat("collection ", collection.name, ": the source turned from the model \"",
                                           collection.embedding_fingerprint, "\" to \"", now.embedding_fingerprint,
                                           "\" while it was copied; delete the target's collection, then copy again"));
  }

  absl::StatusOr<bool> IsThere(const std::string& collection, const std::string& uri, const std::string& digest) {
    absl::StatusOr<Document> there = to_.FindDocument(collection, uri);
    if (absl::IsNotFound(there.status())) return false;
    LASTRO_RETURN_IF_ERROR(there.status());
    absl::StatusOr<std::string> its = DocumentDigest(to_, collection, there->id);
    if (absl::IsDataLoss(its.status())) return false;  // what is damaged there is replaced
    LASTRO_RETURN_IF_ERROR(its.status());
    return *its == digest;
  }

  absl::Status Put(const Collection& collection, const std::string& digest, const WholeDocument& whole) {
    Document document = whole.document;
    document.collection = collection.name;
    LASTRO_ASSIGN_OR_RETURN(Document stored, to_.PutDocument(document, collection.embedding_fingerprint, whole.chunks,
                                                             whole.original, whole.extracted));
    LASTRO_ASSIGN_OR_RETURN(std::string its, DocumentDigest(to_, collection.name, stored.id));
    if (its == digest) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("collection ", collection.name, ", document ", document.uri,
                                            ": what the target gives back is not what was put",
                                            "; look after its disk, then copy again"));
  }

  absl::Status CheckCount(const std::string& name) {
    LASTRO_ASSIGN_OR_RETURN(Collection there, to_.GetCollection(name));
    if (there.documents < kept_here_) {
      return absl::DataLossError(absl::StrCat("collection ", name, ": the target has ", there.documents,
                                              " documents after ", kept_here_,
                                              " were copied; look who deletes there, then copy again"));
    }
    report_.documents_beyond += there.documents - kept_here_;
    return absl::OkStatus();
  }

  ChunkStore& from_;
  ChunkStore& to_;
  const StoreCopyOptions& options_;
  const CallContext& context_;
  StoreCopyReport report_;
  FieldHash digests_;
  int64_t done_here_ = 0;  // of the collection under way
  int64_t kept_here_ = 0;
};

}  // namespace

absl::StatusOr<std::string> DocumentDigest(ChunkStore& store, const std::string& collection,
                                           const std::string& document_id) {
  LASTRO_ASSIGN_OR_RETURN(WholeDocument whole, ReadWhole(store, collection, document_id));
  return DigestOf(whole);
}

absl::StatusOr<StoreCopyReport> CopyStore(ChunkStore& from, ChunkStore& to, const StoreCopyOptions& options,
                                          const CallContext& context) {
  return StoreCopier(from, to, options, context).Run();
}

}  // namespace lastro::services
