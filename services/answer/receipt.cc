#include "services/answer/receipt.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"

namespace lastro::services::answer {
namespace {

// The parts of a message of their own, so that no two answers give the same bytes.
class Parts {
 public:
  Parts& Add(absl::string_view text) {
    absl::StrAppend(&bytes_, text.size(), ":", text);
    return *this;
  }
  Parts& Add(int64_t number) {
    absl::StrAppend(&bytes_, number, ";");
    return *this;
  }
  Parts& Add(const v1::ByteRange& range) { return Add(range.begin()).Add(range.end()); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

void NoteChange(absl::string_view what, absl::string_view then, absl::string_view now, v1::ReplayReport* report) {
  if (then == now) return;
  auto shown = [](absl::string_view text) { return text.empty() ? absl::string_view("none") : text; };
  report->add_changes(absl::StrCat(what, " was ", shown(then), " and is ", shown(now)));
}

// uri -> the hashes of its retrieved chunks.
std::map<std::string, std::multiset<std::string>> ChunksByDocument(const v1::Receipt& receipt) {
  std::map<std::string, std::multiset<std::string>> chunks;
  for (const v1::ReceiptPassage& passage : receipt.passages()) {
    chunks[passage.document_uri()].insert(passage.chunk_sha256());
  }
  return chunks;
}

void ComparePassages(const v1::Receipt& then, const v1::Receipt& now, v1::ReplayReport* report) {
  const auto before = ChunksByDocument(then), after = ChunksByDocument(now);
  for (const auto& [uri, chunks] : before) {
    auto found = after.find(uri);
    if (found == after.end()) {
      report->add_changes(absl::StrCat(uri, " was retrieved and is not"));
    } else if (found->second != chunks) {
      report->add_changes(absl::StrCat("other passages of ", uri, " are retrieved, or their text changed"));
    }
  }
  for (const auto& [uri, chunks] : after) {
    if (!before.contains(uri)) report->add_changes(absl::StrCat(uri, " is retrieved and was not"));
  }
}

void CompareScores(const v1::Receipt& then, const v1::Receipt& now, v1::ReplayReport* report) {
  if (then.passages_size() != now.passages_size()) return;  // told by ComparePassages
  for (int i = 0; i < then.passages_size(); ++i) {
    if (then.passages(i).chunk_sha256() != now.passages(i).chunk_sha256()) {
      report->add_changes("the order of the retrieved passages changed");
      return;
    }
    if (then.passages(i).score() != now.passages(i).score()) {
      report->add_changes("the scores of the retrieved passages changed");
      return;
    }
    if (then.passages(i).relevance() != now.passages(i).relevance() ||
        then.passages(i).answer_score() != now.passages(i).answer_score()) {
      report->add_changes("the reader's scores of the retrieved passages changed");
      return;
    }
  }
}

}  // namespace

std::string AnswerSha256(const v1::Answer& answer) {
  Parts parts;
  parts.Add(answer.text()).Add(answer.answerability());
  for (const v1::Claim& claim : answer.claims()) {
    parts.Add(claim.range()).Add(claim.supported() ? 1 : 0).Add(claim.citations_size());
    for (const v1::Citation& citation : claim.citations()) {
      parts.Add(citation.answer_range()).Add(citation.document_uri()).Add(citation.source_sha256());
      parts.Add(citation.source_range());
    }
  }
  return Sha256Hex(parts.bytes());
}

void NoteSearch(const v1::SearchResponse& found, v1::Receipt* receipt) {
  receipt->set_store_commit(found.store_commit());
  receipt->set_embedding_fingerprint(found.embedding_fingerprint());
  receipt->set_reranker_fingerprint(found.explanation().reranker());
  receipt->clear_passages();
  for (const v1::SearchHit& hit : found.hits()) {
    v1::ReceiptPassage* passage = receipt->add_passages();
    passage->set_document_uri(hit.document().uri());
    passage->set_chunk_sha256(hit.chunk().text_sha256());
    passage->set_score(hit.score());
  }
}

v1::ReplayReport CompareReceipts(const v1::Receipt& then, v1::Answer now) {
  v1::ReplayReport report;
  const v1::Receipt& receipt = now.receipt();
  report.set_same(then.answer_sha256() == receipt.answer_sha256());
  NoteChange("the program's version", then.version(), receipt.version(), &report);
  NoteChange("the embedding model", then.embedding_fingerprint(), receipt.embedding_fingerprint(), &report);
  NoteChange("the decoder", then.decoder_fingerprint(), receipt.decoder_fingerprint(), &report);
  NoteChange("the reranker", then.reranker_fingerprint(), receipt.reranker_fingerprint(), &report);
  NoteChange("the reader", then.reader_fingerprint(), receipt.reader_fingerprint(), &report);
  NoteChange("the decoder's device", then.decoder_device(), receipt.decoder_device(), &report);
  NoteChange("the reader's device", then.reader_device(), receipt.reader_device(), &report);
  NoteChange("the store's commit", absl::StrCat(then.store_commit()), absl::StrCat(receipt.store_commit()), &report);
  ComparePassages(then, receipt, &report);
  CompareScores(then, receipt, &report);
  if (!report.same() && report.changes().empty()) report.add_changes("nothing that a receipt holds, but the answer");
  *report.mutable_then() = then;
  *report.mutable_now() = std::move(now);
  return report;
}

}  // namespace lastro::services::answer
