#include "retrieval/content_table.h"

#include <zstd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"

namespace lastro::retrieval {
namespace {

constexpr uint64_t kBlockBytes = 256u << 10;
constexpr int kCompressionLevel = 3;

struct ContentRow {
  int64_t id = 0;
  uint64_t size_bytes = 0;
};

absl::StatusOr<ContentRow> FindContent(Database& db, const std::string& sha256) {
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT id, size_bytes FROM contents WHERE sha256=?1"));
  LASTRO_ASSIGN_OR_RETURN(bool found, query.BindText(1, sha256).Step());
  if (!found) return absl::DataLossError(absl::StrCat("store: the content ", sha256, " is missing"));
  return ContentRow{query.Int(0), static_cast<uint64_t>(query.Int(1))};
}

absl::StatusOr<std::string> Decompress(absl::string_view frame, uint64_t expected_bytes) {
  std::string block(expected_bytes, '\0');
  size_t size = ZSTD_decompress(block.data(), block.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) || size != expected_bytes) return absl::DataLossError("store: a content block is damaged");
  return block;
}

absl::StatusOr<std::string> Compress(absl::string_view block) {
  std::string frame(ZSTD_compressBound(block.size()), '\0');
  size_t size = ZSTD_compress(frame.data(), frame.size(), block.data(), block.size(), kCompressionLevel);
  if (ZSTD_isError(size)) return absl::InternalError(absl::StrCat("zstd: ", ZSTD_getErrorName(size)));
  frame.resize(size);
  return frame;
}

}  // namespace

absl::StatusOr<PackedContent> PackContent(absl::string_view bytes) {
  PackedContent content;
  content.sha256 = Sha256Hex(bytes);
  content.size_bytes = bytes.size();
  for (uint64_t begin = 0; begin < bytes.size(); begin += kBlockBytes) {
    LASTRO_ASSIGN_OR_RETURN(std::string frame, Compress(bytes.substr(begin, kBlockBytes)));
    content.blocks.push_back(std::move(frame));
  }
  return content;
}

absl::Status StoreContent(Database& db, const PackedContent& content) {
  LASTRO_ASSIGN_OR_RETURN(Statement insert,
                          db.Prepare("INSERT INTO contents(sha256, size_bytes) VALUES(?1, ?2) ON CONFLICT DO NOTHING"));
  insert.BindText(1, content.sha256).Bind(2, static_cast<int64_t>(content.size_bytes));
  LASTRO_RETURN_IF_ERROR(insert.Run());
  if (db.changes() == 0) return absl::OkStatus();
  int64_t id = db.last_insert_id();
  LASTRO_ASSIGN_OR_RETURN(Statement block,
                          db.Prepare("INSERT INTO content_blocks(content, block, data) VALUES(?1,?2,?3)"));
  for (size_t i = 0; i < content.blocks.size(); ++i) {
    block.Bind(1, id).Bind(2, static_cast<int64_t>(i)).BindBlob(3, content.blocks[i]);
    LASTRO_RETURN_IF_ERROR(block.Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadContent(Database& db, const std::string& sha256, uint64_t begin, uint64_t end) {
  LASTRO_ASSIGN_OR_RETURN(ContentRow content, FindContent(db, sha256));
  end = std::min(end, content.size_bytes);
  if (begin > end) return absl::InvalidArgumentError(absl::StrCat("read: byte ", begin, " is beyond the end, ", end));
  std::string bytes;
  if (begin == end) return bytes;
  bytes.reserve(std::min<uint64_t>(end - begin, 64 * kBlockBytes));  // the size may be a damaged one
  LASTRO_ASSIGN_OR_RETURN(Statement query, db.Prepare("SELECT data FROM content_blocks WHERE content=?1 AND block=?2"));
  for (uint64_t block = begin / kBlockBytes; block * kBlockBytes < end; ++block) {
    uint64_t start = block * kBlockBytes;
    LASTRO_ASSIGN_OR_RETURN(bool found, query.Bind(1, content.id).Bind(2, static_cast<int64_t>(block)).Step());
    if (!found) return absl::DataLossError(absl::StrCat("store: a block of the content ", sha256, " is missing"));
    LASTRO_ASSIGN_OR_RETURN(std::string data,
                            Decompress(query.Bytes(0), std::min(kBlockBytes, content.size_bytes - start)));
    query.Reset();
    uint64_t from = std::max(begin, start) - start;
    bytes.append(data, from, std::min<uint64_t>(end - start, data.size()) - from);
  }
  return bytes;
}

absl::StatusOr<uint64_t> ContentSize(Database& db, const std::string& sha256) {
  LASTRO_ASSIGN_OR_RETURN(ContentRow content, FindContent(db, sha256));
  return content.size_bytes;
}

absl::Status DropUnreferencedContents(Database& db, absl::Span<const std::string> sha256) {
  LASTRO_ASSIGN_OR_RETURN(
      Statement remove,
      db.Prepare("DELETE FROM contents WHERE sha256=?1 AND NOT EXISTS(SELECT 1 FROM documents WHERE content_sha256=?1) "
                 "AND NOT EXISTS(SELECT 1 FROM documents WHERE source_sha256=?1)"));
  for (const std::string& key : sha256) LASTRO_RETURN_IF_ERROR(remove.BindText(1, key).Run());
  return absl::OkStatus();
}

absl::Status DropAllUnreferencedContents(Database& db) {
  return db.Execute(
      "DELETE FROM contents WHERE NOT EXISTS(SELECT 1 FROM documents WHERE content_sha256=sha256) "
      "AND NOT EXISTS(SELECT 1 FROM documents WHERE source_sha256=sha256)");
}

}  // namespace lastro::retrieval
