// ReembeddingStore: how a collection moves to another embedding model without a moment in which it cannot be searched.
// The part of ChunkStore (chunk_store.h) that is about it; thread-safe.
//
// A collection has the vectors of one model, which are searched. Begun, it gets a second, empty set for another model.
// While searches, ingestion and deletes go on, the set is filled text by text; what was put in is never computed again,
// whatever stops in between. Once every chunk has a vector in it, and its index is made, one commit makes it the one
// that is searched. The one before is then the other set: the same commit the other way goes back to it. Documents
// that come meanwhile get the vectors of the model that is searched, and of the other those that its set knows for an
// equal text; the rest is filled in as before. A document is deleted with its vectors of both.
//
// All of it takes a caller that sees every document (PERMISSION_DENIED). NOT_FOUND: no such collection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "retrieval/types.h"

namespace lastro::retrieval {

// Both sets of a collection.
struct Reembedding {
  std::string collection;
  int64_t chunks = 0;  // all of which the set that is searched has
  VectorSet searched;
  std::optional<VectorSet> other;  // since 0: it was never searched
};

// Chunks that the other set has no vector for, in order of id, without vectors and document ids.
struct UnembeddedChunks {
  std::vector<Chunk> chunks;
  int64_t last = 0;  // ask on after this one
};

// The vector of every chunk with this text_sha256.
struct TextVector {
  std::string text_sha256;
  std::vector<float> vector;
};

class ReembeddingStore {
 public:
  virtual ~ReembeddingStore() = default;

  virtual absl::StatusOr<Reembedding> GetReembedding(const std::string& collection) = 0;

  // Begins to move to `model` (its counts are ignored), or goes on when that was begun. FAILED_PRECONDITION when it is
  // the collection's model already, or the collection has vectors of a third one.
  virtual absl::StatusOr<Reembedding> BeginReembedding(const std::string& collection, const VectorSet& model) = 0;

  // What of the other set `fingerprint` is missing among chunks with ids after `after`: at most `count`, and some MiB
  // of them; none: there are no more. FAILED_PRECONDITION when the collection has no such set.
  virtual absl::StatusOr<UnembeddedChunks> FindUnembedded(const std::string& collection, const std::string& fingerprint,
                                                          int64_t after, int count) = 0;

  // Puts vectors into the other set `fingerprint`; how many chunks got one. Chunks that have one keep it; a text that
  // no chunk has is left out. No search sees a difference, and the commit number stays. FAILED_PRECONDITION when the
  // collection has no such set; INVALID_ARGUMENT: a vector of another dimension.
  virtual absl::StatusOr<int64_t> PutVectors(const std::string& collection, const std::string& fingerprint,
                                             absl::Span<const TextVector> vectors) = 0;

  // Makes the index of the other set, where it is large enough to need one, and waits. FAILED_PRECONDITION while chunks
  // lack vectors.
  virtual absl::Status PrepareVectors(const std::string& collection, const std::string& fingerprint) = 0;

  // One commit: from it on, `fingerprint` is the collection's model, and what was is the other set. Nothing when it is
  // the collection's already. ABORTED: chunks lack vectors or too many are not indexed, since documents came meanwhile:
  // fill in what is missing and try again. FAILED_PRECONDITION: the collection has no such set.
  virtual absl::StatusOr<Reembedding> SwitchVectors(const std::string& collection, const std::string& fingerprint) = 0;

  // One commit: the other set `fingerprint` and its index are gone. Its bytes are used again; a purge takes them out of
  // the file. FAILED_PRECONDITION: it is the one that is searched, or the collection has no such set.
  virtual absl::StatusOr<Reembedding> DropVectors(const std::string& collection, const std::string& fingerprint) = 0;
};

}  // namespace lastro::retrieval
