#include "services/milvus/milvus_blocks.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "services/milvus/milvus_schema.h"

namespace lastro::services {
namespace {

constexpr uint64_t kBlockBytes = 48'000;  // 64,000 in base64, and the hash: within a text of Milvus's
constexpr uint64_t kBlocksPerCall = 128;
constexpr size_t kHashDigits = 16;

std::string HashDigits(absl::string_view bytes) { return absl::StrCat(absl::Hex(Hash64(bytes), absl::kZeroPad16)); }

std::string BlockKey(const BlocksOf& of, uint64_t block) {
  return absl::StrCat(of.owner, "/", of.subject, "/", absl::Hex(static_cast<uint64_t>(of.version), absl::kZeroPad16),
                      "/", std::string(1, of.part), "/", absl::Hex(block, absl::kZeroPad8));
}

std::string OfSubject(const std::string& owner, const std::string& subject) {
  return absl::StrCat(kOwner, " == \"", owner, "\" and ", kSubject, " == \"", subject, "\"");
}

absl::Status Damaged(const std::string& key, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("Milvus: block ", key, " ", what, "; put the document again, or copy the store from a good one"));
}

absl::StatusOr<std::string> Decoded(const std::string& key, const std::string& data) {
  std::string bytes;
  if (data.size() < kHashDigits || !absl::Base64Unescape(data.substr(kHashDigits), &bytes) ||
      HashDigits(bytes) != data.substr(0, kHashDigits)) {
    return Damaged(key, "is damaged");
  }
  return bytes;
}

}  // namespace

absl::Status MilvusBlocks::Put(const BlocksOf& of, absl::string_view bytes) {
  MilvusRows rows;
  for (uint64_t block = 0; block * kBlockBytes < bytes.size(); ++block) {
    const absl::string_view piece = bytes.substr(block * kBlockBytes, kBlockBytes);
    rows.AddText(kKey, BlockKey(of, block));
    rows.AddText(kOwner, of.owner);
    rows.AddText(kSubject, of.subject);
    rows.AddInt(kVersion, of.version);
    rows.AddText(kData, absl::StrCat(HashDigits(piece), absl::Base64Escape(piece)));
    AddNothing(&rows);
    rows.EndRow();
    if (rows.rows() == kBlocksPerCall) LASTRO_RETURN_IF_ERROR(client_.Insert(collection_, &rows));
  }
  return client_.Insert(collection_, &rows);
}

absl::StatusOr<std::string> MilvusBlocks::ReadBlocks(const BlocksOf& of, uint64_t first, uint64_t count) {
  std::vector<std::string> keys;
  for (uint64_t block = first; block < first + count; ++block) keys.push_back(BlockKey(of, block));
  const std::string expression = absl::StrCat(kKey, " in [\"", absl::StrJoin(keys, "\",\""), "\"]");
  LASTRO_ASSIGN_OR_RETURN(
      MilvusTable table,
      client_.Query(collection_, {.expression = expression, .columns = {kKey, kData}, .limit = static_cast<int>(count)},
                    {.latest = true}));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> found, table.Texts(kKey));
  LASTRO_ASSIGN_OR_RETURN(std::vector<std::string> data, table.Texts(kData));
  if (found.size() != data.size()) return absl::InternalError("the answer of Milvus is malformed: uneven columns");
  std::map<std::string, std::string> by_key;
  for (size_t i = 0; i < found.size(); ++i) by_key[found[i]] = std::move(data[i]);
  std::string bytes;
  for (const std::string& key : keys) {
    auto entry = by_key.find(key);
    if (entry == by_key.end()) return Damaged(key, "is missing");
    LASTRO_ASSIGN_OR_RETURN(std::string piece, Decoded(key, entry->second));
    bytes += piece;
  }
  return bytes;
}

absl::StatusOr<std::string> MilvusBlocks::Read(const BlocksOf& of, uint64_t begin, uint64_t end) {
  std::string bytes;
  if (begin == end) return bytes;
  const uint64_t first = begin / kBlockBytes;
  const uint64_t last = (end - 1) / kBlockBytes;
  for (uint64_t block = first; block <= last; block += kBlocksPerCall) {
    LASTRO_ASSIGN_OR_RETURN(std::string piece, ReadBlocks(of, block, std::min(kBlocksPerCall, last + 1 - block)));
    bytes += piece;
  }
  const uint64_t skipped = begin - first * kBlockBytes;
  if (bytes.size() < skipped + (end - begin)) return Damaged(BlockKey(of, last), "is too short");
  return bytes.substr(skipped, end - begin);
}

absl::Status MilvusBlocks::DropBefore(const std::string& owner, const std::string& subject, int64_t version) {
  return client_.Delete(collection_, absl::StrCat(OfSubject(owner, subject), " and ", kVersion, " < ", version));
}

absl::Status MilvusBlocks::Drop(const std::string& owner, const std::string& subject, int64_t version) {
  return client_.Delete(collection_, absl::StrCat(OfSubject(owner, subject), " and ", kVersion, " == ", version));
}

absl::Status MilvusBlocks::DropAllOf(const std::string& owner) {
  return client_.Delete(collection_, absl::StrCat(kOwner, " == \"", owner, "\""));
}

}  // namespace lastro::services
