// The records of the store. Plain data, no invariants beyond those said here; copies are deep.
//
// A *source* is the byte sequence that citations point into: the file's own bytes, or, for formats whose text is not in
// the bytes (PDF), the UTF-8 text extracted from them. A *chunk* is a piece of a document's readable, normalised text
// (UTF-8) with a map from its bytes to the source's bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace lastro::retrieval {

// Text, a number, a truth value, or a point in time (kept in nanoseconds, 1677 to 2262).
using MetadataScalar = std::variant<std::string, double, bool, absl::Time>;
using MetadataList = std::vector<MetadataScalar>;
using MetadataValue = std::variant<std::string, double, bool, absl::Time, MetadataList>;
using Metadata = std::map<std::string, MetadataValue>;

// text bytes [text_begin, text_begin + text_length) were read from source bytes [source_begin, + source_length).
// When `verbatim`, the bytes are the same, one to one (then both lengths are equal); otherwise they were changed (an
// entity, a transcoded character, folded white space) and the segment maps as a whole.
struct SourceSegment {
  uint64_t text_begin = 0;
  uint64_t text_length = 0;
  uint64_t source_begin = 0;
  uint64_t source_length = 0;
  bool verbatim = false;
};

enum class SourceKind {
  kOriginal,       // the file's own bytes
  kExtractedText,  // text extracted from the file
};

enum class Language { kUnknown, kEnglish, kPortuguese };

struct Document {
  std::string id;  // set by the store: stable for (collection, uri)
  std::string collection;
  std::string uri;  // unique in its collection; for folders the path relative to the folder's root
  std::string title;
  std::string media_type;  // such as text/markdown
  std::string encoding;    // of the original bytes, such as UTF-8 or ISO-8859-1
  Language language = Language::kUnknown;
  SourceKind source_kind = SourceKind::kOriginal;
  std::string content_sha256;  // of the original bytes
  std::string source_sha256;   // of the source's bytes (equal to content_sha256 for kOriginal)
  uint64_t size_bytes = 0;     // of the original
  absl::Time modified_at;      // of the file, when known
  absl::Time ingested_at;      // set by the store
  std::string origin;    // the root folder it was ingested from, "upload", ...: what a sync of that origin may remove
  std::string pipeline;  // fingerprint of the readers' and chunker's settings; another one means: ingest again
  Metadata metadata;
  std::vector<std::string> labels;  // access labels, see base/scope.h; none: for everybody of the tenant
  int64_t chunk_count = 0;          // set by the store
};

// Bytes [begin, end) of a chunk's text: a cell of a table, and the name of its column. Where there is no name, the cell
// is itself the name of a column.
struct NamedCell {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string column;
};

struct Chunk {
  int64_t id = 0;                       // set by the store; never reused
  std::string document_id;              // set by the store
  int32_t ordinal = 0;                  // position in the document, from 0
  std::string text;                     // UTF-8, what is embedded, searched and put into prompts
  std::vector<std::string> headings;    // path of headings above it, outermost first
  int32_t tokens = 0;                   // in the embedding model's tokens, without special ones
  std::vector<SourceSegment> segments;  // cover the text in order, without overlap; text between segments has no source
  std::vector<NamedCell> cells;         // of tables whose columns have names, in the text's order, without overlap
  std::string text_sha256;              // of the text that was embedded: the key under which its vector is reused
  std::vector<float> vector;            // [dimension]; empty in results unless asked for
};

// The smallest source range that text bytes [begin, end) of `segments` come from.
struct SourceRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct Collection {
  std::string name;                   // [a-z0-9][a-z0-9_-]{0,62}
  std::string embedding_model;        // display name
  std::string embedding_fingerprint;  // every vector that is searched has this fingerprint
  int dimension = 0;
  absl::Time created_at;
  int64_t documents = 0;       // set by the store
  int64_t chunks = 0;          // set by the store
  int64_t embedded_since = 0;  // set by the store: the commit that made this model the collection's
};

// All vectors of a collection by one embedding model.
struct VectorSet {
  std::string model;  // display name
  std::string fingerprint;
  int dimension = 0;
  int64_t vectors = 0;  // set by the store: chunks that have one
  int64_t since = 0;    // set by the store: the commit that last made it the one that is searched; 0: none did
};

enum class JobState { kQueued, kRunning, kSucceeded, kFailed, kCancelled };

// A file that was not ingested, and why.
struct FileProblem {
  std::string uri;
  std::string reason;
};

// One ingestion of a folder or an upload; survives restarts.
struct Job {
  std::string id;
  JobState state = JobState::kQueued;
  std::string collection;
  std::string request;              // serialised request, so that it can go on after a restart
  std::string error;                // when kFailed
  std::vector<std::string> labels;  // access labels it gives its documents; who may see it
  bool for_all_labels = false;      // only who sees all documents may see it
  int64_t files_found = 0;
  int64_t files_added = 0;
  int64_t files_updated = 0;
  int64_t files_unchanged = 0;
  int64_t files_removed = 0;
  int64_t files_failed = 0;
  int64_t bytes_read = 0;
  int64_t chunks_added = 0;
  int64_t chunks_reused = 0;          // whose vector was known already
  int64_t chunks_found = 0;           // of a re-embedding: all that need a vector
  std::vector<FileProblem> problems;  // the first 1,000
  absl::Time created_at;
  absl::Time updated_at;
};

}  // namespace lastro::retrieval
