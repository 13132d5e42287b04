#include "retrieval/vector_catalog.h"

#include <algorithm>

namespace lastro::retrieval {

const VectorCatalog::Entry* VectorCatalog::View::Find(int64_t set) const {
  auto found = entries->find(set);
  return found == entries->end() ? nullptr : &found->second;
}

VectorCatalog::View VectorCatalog::Grab() const {
  absl::MutexLock lock(&mutex_);
  return {entries_, last_chunk_};
}

template <typename Change>
void VectorCatalog::Update(Change change) {
  auto next = std::make_shared<Entries>(*entries_);
  change(*next);
  entries_ = std::move(next);
}

void VectorCatalog::LeaveDevice(int64_t set) const {
  const View view = Grab();
  const Entry* entry = view.Find(set);
  if (device_ != nullptr && entry != nullptr && entry->index != nullptr) entry->index->LeaveDevice();
}

void VectorCatalog::Add(Entry entry) {
  if (device_ != nullptr && entry.index != nullptr) entry.index->PutOn(device_);
  VectorLog::View tail = entry.log->Snapshot();
  absl::MutexLock lock(&mutex_);
  if (tail.size() > 0) last_chunk_ = std::max(last_chunk_, tail.chunk(tail.size() - 1));
  if (entry.index != nullptr) last_chunk_ = std::max(last_chunk_, entry.index->position().last_chunk);
  Update([&](Entries& entries) { entries[entry.set.id] = std::move(entry); });
}

void VectorCatalog::Remove(int64_t set) {
  LeaveDevice(set);
  absl::MutexLock lock(&mutex_);
  Update([&](Entries& entries) { entries.erase(set); });
}

void VectorCatalog::Publish(int64_t set, int64_t document, absl::Span<const int64_t> chunks,
                            absl::Span<const std::vector<float>> vectors) {
  absl::MutexLock lock(&mutex_);
  auto found = entries_->find(set);
  if (found == entries_->end() || chunks.empty()) return;
  for (size_t i = 0; i < chunks.size(); ++i) found->second.log->Append(chunks[i], document, vectors[i].data());
  last_chunk_ = std::max(last_chunk_, chunks.back());
}

void VectorCatalog::Install(int64_t set, std::shared_ptr<const VectorIndex> index) {
  LeaveDevice(set);
  if (device_ != nullptr) index->PutOn(device_);
  absl::MutexLock lock(&mutex_);
  auto found = entries_->find(set);
  if (found == entries_->end()) return;
  Entry entry = found->second;
  const VectorLog::View old = entry.log->Snapshot();
  entry.log = std::make_shared<VectorLog>(entry.set.set.dimension);
  entry.log->Append(old, index->position().last_chunk);
  entry.covers = std::max(entry.covers, index->position().last_chunk);
  entry.index = std::move(index);
  Update([&](Entries& entries) { entries[set] = std::move(entry); });
}

void VectorCatalog::Complete(int64_t set, const VectorLog::View& tail, int64_t covers) {
  absl::MutexLock lock(&mutex_);
  auto found = entries_->find(set);
  if (found == entries_->end()) return;
  Entry entry = found->second;
  entry.log->Append(tail, entry.covers);  // views of it see a fixed prefix
  entry.covers = std::max(entry.covers, covers);
  last_chunk_ = std::max(last_chunk_, covers);
  Update([&](Entries& entries) { entries[set] = std::move(entry); });
}

void VectorCatalog::Turn(int64_t before, int64_t now) {
  absl::MutexLock lock(&mutex_);
  Update([&](Entries& entries) {
    if (auto entry = entries.find(before); entry != entries.end()) entry->second.covers = last_chunk_;
    if (auto entry = entries.find(now); entry != entries.end()) entry->second.covers = kEverything;
  });
}

size_t TailSize(const VectorCatalog::Entry& entry) { return entry.log->size(); }

}  // namespace lastro::retrieval
