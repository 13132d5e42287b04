#include "retrieval/index_file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/file_system.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "retrieval/folder.h"

namespace lastro::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHeaderBytes = 4096;
constexpr absl::string_view kMagic = "LASTRO-INDEX 3\n";
constexpr absl::string_view kSuffix = ".index";
constexpr absl::string_view kTemporarySuffix = ".index.tmp";
constexpr absl::string_view kBodyBytes = ",\"body_bytes\":";  // behind the fields
// Of versions that kept their indexes by FAISS.
constexpr absl::string_view kEarlierSuffix = ".faiss";
constexpr absl::string_view kEarlierTemporarySuffix = ".faiss.tmp";

// Writes a new file in order, hashing as it goes. The first error sticks. Removes the file unless it was committed.
class BodyWriter {
 public:
  explicit BodyWriter(const std::string& path) : path_(path) {
    absl::StatusOr<std::unique_ptr<OutputFile>> file = FileSystem::Current().Create(path, 0600);
    status_ = file.status();
    if (file.ok()) file_ = *std::move(file);
    WriteAt(std::string(kHeaderBytes, ' '), 0);
  }
  ~BodyWriter() {
    if (!committed_) (void)FileSystem::Current().Remove(path_);
  }

  void Append(absl::string_view bytes) {
    hash_.Update(bytes);
    WriteAt(bytes, kHeaderBytes + body_bytes_);
    body_bytes_ += bytes.size();
  }

  const absl::Status& status() const { return status_; }

  // Writes the header, fsyncs and renames to `final_path`. `fields`: the JSON members but those about the body.
  absl::Status Commit(const std::string& fields, const std::string& final_path) {
    hash_.Update(fields);
    std::string header =
        absl::StrCat(kMagic, "{", fields, kBodyBytes, body_bytes_, ",\"sha256\":\"", hash_.FinishHex(), "\"}\n");
    if (header.size() > kHeaderBytes) return absl::InternalError("vector index: the header is too long");
    WriteAt(header, 0);
    LASTRO_RETURN_IF_ERROR(status_);
    LASTRO_RETURN_IF_ERROR(file_->Sync());
    LASTRO_RETURN_IF_ERROR(FileSystem::Current().Rename(path_, final_path));
    committed_ = true;
    return FileSystem::Current().SyncFolder(fs::path(final_path).parent_path().string());
  }

 private:
  void WriteAt(absl::string_view bytes, size_t offset) {
    if (status_.ok()) status_ = file_->WriteAt(bytes, offset);
  }

  const std::string path_;
  std::unique_ptr<OutputFile> file_;
  size_t body_bytes_ = 0;
  Sha256 hash_;
  absl::Status status_;
  bool committed_ = false;
};

// Fingerprints are checked to be plain text without quotes (see validation.h), so that no escapes are needed.
std::string HeaderFields(const VectorIndex& index, const std::string& fingerprint) {
  const VectorIndex::Position& position = index.position();
  return absl::StrCat("\"generation\":", position.generation, ",\"commit\":", position.commit,
                      ",\"last_chunk\":", position.last_chunk, ",\"fingerprint\":\"", fingerprint,
                      "\",\"dimension\":", index.dimension(), ",\"kind\":\"", IndexKindName(index.kind()),
                      "\",\"count\":", index.size());
}

struct Header {
  VectorIndex::Position position;
  IndexKind kind = IndexKind::kExact;
  uint64_t count = 0;
};

absl::StatusOr<Header> ParseHeader(absl::string_view bytes, const std::string& path, int dimension,
                                   const std::string& fingerprint) {
  if (bytes.size() < kHeaderBytes || !absl::StartsWith(bytes, kMagic)) return absl::DataLossError("not an index file");
  absl::string_view text = bytes.substr(kMagic.size(), kHeaderBytes - kMagic.size());
  LASTRO_ASSIGN_OR_RETURN(JsonDocument json, JsonDocument::Parse(text.substr(0, text.find('\n')), path));
  JsonValue root = json.root();
  Header header;
  LASTRO_ASSIGN_OR_RETURN(header.position.generation, root.GetInt("generation", -1));
  LASTRO_ASSIGN_OR_RETURN(header.position.commit, root.GetInt("commit", -1));
  LASTRO_ASSIGN_OR_RETURN(header.position.last_chunk, root.GetInt("last_chunk", -1));
  LASTRO_ASSIGN_OR_RETURN(int64_t stored_dimension, root.GetInt("dimension", -1));
  LASTRO_ASSIGN_OR_RETURN(int64_t count, root.GetInt("count", -1));
  LASTRO_ASSIGN_OR_RETURN(int64_t body_bytes, root.GetInt("body_bytes", -1));
  LASTRO_ASSIGN_OR_RETURN(std::string kind, root.GetString("kind", ""));
  LASTRO_ASSIGN_OR_RETURN(std::string stored_fingerprint, root.GetString("fingerprint", ""));
  LASTRO_ASSIGN_OR_RETURN(std::string sha256, root.GetString("sha256", ""));
  if (stored_dimension != dimension || stored_fingerprint != fingerprint) {
    return absl::DataLossError("made with another embedding model");
  }
  absl::string_view body = bytes.substr(kHeaderBytes);
  Sha256 hash;
  hash.Update(body);
  hash.Update(text.substr(1, text.find(kBodyBytes) - 1));
  if (body_bytes < 0 || static_cast<uint64_t>(body_bytes) != body.size() || hash.FinishHex() != sha256) {
    return absl::DataLossError("the checksum does not match");
  }
  LASTRO_ASSIGN_OR_RETURN(std::optional<IndexKind> known, ParseIndexKind(kind));
  if (!known.has_value()) return absl::DataLossError("of no kind");
  header.kind = *known;
  header.count = static_cast<uint64_t>(count);
  if (count < 0 || header.count > body.size()) return absl::DataLossError("bad count");
  return header;
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> ParseIndex(absl::string_view bytes, const std::string& path,
                                                              int dimension, const std::string& fingerprint) {
  LASTRO_ASSIGN_OR_RETURN(Header header, ParseHeader(bytes, path, dimension, fingerprint));
  return VectorIndex::Read(header.kind, dimension, header.count, header.position, bytes.substr(kHeaderBytes));
}

}  // namespace

std::string IndexFolder(const std::string& data_folder, int64_t set) {
  return absl::StrCat(data_folder, "/index/", set);
}

std::string IndexFileName(const std::string& index_folder, int64_t generation) {
  return absl::StrCat(index_folder, "/", generation, kSuffix);
}

std::vector<int64_t> ListGenerations(const std::string& index_folder) {
  std::vector<int64_t> generations;
  std::error_code error;
  for (fs::directory_iterator entry(index_folder, error), end; !error && entry != end; entry.increment(error)) {
    std::string name = entry->path().filename().string();
    const bool leftover = absl::EndsWith(name, kTemporarySuffix) || absl::EndsWith(name, kEarlierSuffix) ||
                          absl::EndsWith(name, kEarlierTemporarySuffix);
    if (leftover) (void)FileSystem::Current().Remove(entry->path().string());
    int64_t generation = 0;
    if (absl::EndsWith(name, kSuffix) &&
        absl::SimpleAtoi(absl::string_view(name).substr(0, name.size() - kSuffix.size()), &generation)) {
      generations.push_back(generation);
    }
  }
  std::sort(generations.rbegin(), generations.rend());
  return generations;
}

absl::Status WriteIndexFile(const std::string& index_folder, const VectorIndex& index, const std::string& fingerprint) {
  LASTRO_RETURN_IF_ERROR(MakeFolder(index_folder));
  std::string path = IndexFileName(index_folder, index.position().generation);
  BodyWriter writer(path + ".tmp");
  index.Write([&](absl::string_view bytes) { writer.Append(bytes); });
  return writer.Commit(HeaderFields(index, fingerprint), path);
}

absl::StatusOr<std::shared_ptr<const VectorIndex>> ReadIndexFile(const std::string& index_folder, int64_t generation,
                                                                 int dimension, const std::string& fingerprint) {
  std::string path = IndexFileName(index_folder, generation);
  LASTRO_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  absl::string_view bytes = file.view();
  auto index = ParseIndex(bytes, path, dimension, fingerprint);
  if (!index.ok()) return absl::DataLossError(absl::StrCat("vector index ", path, ": ", index.status().message()));
  if ((*index)->position().generation != generation) {
    return absl::DataLossError(absl::StrCat("vector index ", path, ": holds another generation"));
  }
  return index;
}

}  // namespace lastro::retrieval
