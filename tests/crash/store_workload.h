// A scripted life of a store, in steps, for tests that break the disk under it.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "retrieval/backup.h"
#include "tests/crash/store_model.h"

namespace lastro::retrieval::testing {

inline constexpr int64_t kWorkloadIndexAfter = 8;
// So small that the workload gives each step of it something to do.
inline constexpr UpkeepOptions kWorkloadUpkeep = {
    .log_bytes = 64 << 10, .max_log_bytes = 256 << 10, .free_bytes = 64 << 10};

inline std::string NoiseOf(uint64_t seed, size_t size) {  // text that does not compress well
  std::mt19937_64 random(seed);
  std::string noise(size, ' ');
  for (char& c : noise) c = static_cast<char>('!' + random() % 90);
  return noise;
}

class StoreWorkload {
 public:
  // `folder` is the data folder; nothing is opened yet.
  explicit StoreWorkload(std::string folder) : folder_(std::move(folder)) { Script(); }

  size_t size() const { return steps_.size(); }
  const std::string& name(size_t step) const { return steps_[step].name; }

  // Does the step; on success the contents are as it leaves them.
  absl::Status Run(size_t step) {
    if (store_ == nullptr && steps_[step].name != "open") {
      if (absl::Status status = Open(); !status.ok()) return status;
    }
    absl::Status status = steps_[step].act();
    if (status.ok()) contents_ = ContentsAfter(step);
    return status;
  }

  const StoreContents& contents() const { return contents_; }
  StoreContents ContentsAfter(size_t step) const {
    StoreContents contents = contents_;
    steps_[step].change(&contents);
    return contents;
  }
  SqliteStore* store() { return store_.get(); }
  void Close() { store_.reset(); }

  absl::Status Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<SqliteStore>> store =
        SqliteStore::Open({.folder = folder_, .index_after_chunks = kWorkloadIndexAfter, .upkeep = kWorkloadUpkeep});
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    return absl::OkStatus();
  }

 private:
  struct Step {
    std::string name;
    std::function<absl::Status()> act;
    std::function<void(StoreContents*)> change;
  };

  void Add(std::string name, std::function<absl::Status()> act, std::function<void(StoreContents*)> change = nullptr) {
    if (change == nullptr) change = [](StoreContents*) {};
    steps_.push_back({std::move(name), std::move(act), std::move(change)});
  }

  void AddOpen() {
    Add("open", [this] { return Open(); });
  }

  void AddCreate(const std::string& collection) {
    Add(
        "create " + collection, [=, this] { return store_->CreateCollection(MakeCollection(collection)); },
        [=](StoreContents* contents) { (*contents)[collection]; });
  }

  void AddDrop(const std::string& collection) {
    Add(
        "drop " + collection, [=, this] { return store_->DeleteCollection(collection); },
        [=](StoreContents* contents) { contents->erase(collection); });
  }

  void AddPut(const std::string& collection, int document, int version, size_t noise = 0) {
    std::vector<std::string> texts;
    for (int i = 0; i < 1 + (document + version) % 4; ++i) {
      texts.push_back(absl::StrCat("document", document, " version", version, " part", i, " of ", collection));
    }
    TestDocument test = MakeDocument(absl::StrCat("dir/doc", document), texts, collection);
    test.document.title = absl::StrCat("Title ", version);
    test.document.metadata["version"] = static_cast<double>(version);
    test.original += NoiseOf(static_cast<uint64_t>(document * 100 + version), noise);
    Add(
        absl::StrCat("put ", document, " v", version, " into ", collection),
        [=, this] { return Put(*store_, test).status(); },
        [=](StoreContents* contents) { (*contents)[collection][test.document.uri] = test; });
  }

  void AddDelete(const std::string& collection, std::vector<int> documents) {
    std::vector<std::string> uris, ids;
    for (int document : documents) {
      uris.push_back(absl::StrCat("dir/doc", document));
      ids.push_back(DocumentId(collection, uris.back()));
    }
    Add(
        "delete from " + collection, [=, this] { return store_->DeleteDocuments(collection, ids).status(); },
        [=](StoreContents* contents) {
          for (const std::string& uri : uris) (*contents)[collection].erase(uri);
        });
  }

  void AddFlush() {
    Add("flush", [this] { return store_->Flush(); });
  }

  void AddUpkeep() {
    Add("upkeep", [this] { return store_->FinishUpkeep(); });
  }

  void AddPurge() {
    Add("purge", [this] { return store_->Purge().status(); });
  }

  // In the data folder, so that it is on the same disk; the store takes no notice.
  void AddBackup() {
    Add("backup", [this] { return BackUp(folder_, folder_ + "/backup", CallContext()).status(); });
  }

  void AddJob(const std::string& id) {
    Job job;
    job.id = id;
    job.collection = kCollection;
    job.request = "a request";
    job.created_at = job.updated_at = absl::FromUnixSeconds(1700000000);
    Add("job", [=, this] { return store_->PutJob(job); });
  }

  void Script() {
    AddOpen();
    AddCreate(kCollection);
    for (int document = 0; document < 5; ++document) AddPut(kCollection, document, 1);
    AddJob("job-1");
    AddFlush();
    AddCreate("decoy");
    AddPut("decoy", 1, 1);
    AddPut(kCollection, 2, 2, /*noise=*/60000);
    AddPut(kCollection, 3, 2);
    AddDelete(kCollection, {0, 1});
    AddUpkeep();
    AddOpen();
    AddPut(kCollection, 6, 1, /*noise=*/200000);
    AddPut("decoy", 2, 1);
    AddFlush();
    AddDelete(kCollection, {6});
    AddUpkeep();
    AddPut(kCollection, 7, 1);
    AddPut(kCollection, 7, 2);
    AddDrop("decoy");
    AddFlush();
    AddJob("job-1");
    AddBackup();
    AddPut(kCollection, 1, 3);
    AddDelete(kCollection, {2});
    AddPurge();
    AddPut(kCollection, 2, 4);
    AddOpen();
    AddPut(kCollection, 8, 1);
  }

  const std::string folder_;
  std::vector<Step> steps_;
  StoreContents contents_;
  std::unique_ptr<SqliteStore> store_;
};

}  // namespace lastro::retrieval::testing
