#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>

namespace lastro::engine {
namespace {

// Scopes that are remembered; the names come from outside.
constexpr size_t kMaxScopes = 4096;

}  // namespace

PrefixCache::PrefixCache(KvPool& pool, int64_t max_bytes)
    : pool_(pool), max_blocks_(std::max<int64_t>(0, max_bytes / pool.block_bytes())) {
  pool_.SetReserve([this](int64_t count) { return GiveBack(count); });
}

PrefixCache::~PrefixCache() {
  pool_.SetReserve(nullptr);
  absl::MutexLock lock(&mutex_);
  for (auto& [name, root] : roots_) DropAll(&root->node);
}

int64_t PrefixCache::blocks() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int64_t>(recent_.size());
}

PrefixCache::Root& PrefixCache::RootOf(const KvScope& scope) {
  if (roots_.size() >= kMaxScopes && roots_.count(scope.name) == 0) {
    for (auto& [name, root] : roots_) DropAll(&root->node);
    roots_.clear();
  }
  std::unique_ptr<Root>& root = roots_[scope.name];
  if (root == nullptr) {
    root = std::make_unique<Root>();
    root->version = scope.version;
  }
  return *root;
}

void PrefixCache::Touch(Node* node) {
  for (; node->parent != nullptr; node = node->parent) recent_.splice(recent_.begin(), recent_, node->recent);
}

void PrefixCache::DropOldest() {
  Node* const node = recent_.back();
  recent_.pop_back();
  pool_.Release({node->block});
  node->parent->children.erase(node->self);
}

void PrefixCache::DropAll(Node* node) {
  // Without recursion: a chain is as long as a text.
  std::vector<Children> open;
  open.push_back(std::exchange(node->children, {}));
  while (!open.empty()) {
    Children children = std::move(open.back());
    open.pop_back();
    for (auto& [tokens, child] : children) {
      recent_.erase(child->recent);
      pool_.Release({child->block});
      if (!child->children.empty()) open.push_back(std::exchange(child->children, {}));
    }
  }
}

BlockTable PrefixCache::Find(const KvScope& scope, absl::Span<const int32_t> tokens, int64_t limit) {
  const size_t size = static_cast<size_t>(pool_.shape().block_tokens);
  BlockTable table(pool_);
  absl::MutexLock lock(&mutex_);
  Root& root = RootOf(scope);
  if (root.version != scope.version) DropAll(&root.node);
  root.version = scope.version;
  Node* node = &root.node;
  std::vector<int32_t> blocks;
  for (size_t at = 0; at + size <= tokens.size() && static_cast<int64_t>(at + size) <= limit; at += size) {
    const auto found = node->children.find({tokens.begin() + at, tokens.begin() + at + size});
    if (found == node->children.end()) break;
    node = found->second.get();
    blocks.push_back(node->block);
  }
  Touch(node);
  table.Share(blocks);
  return table;
}

void PrefixCache::Add(const KvScope& scope, absl::Span<const int32_t> tokens, const BlockTable& table) {
  const size_t size = static_cast<size_t>(pool_.shape().block_tokens);
  absl::MutexLock lock(&mutex_);
  Root& root = RootOf(scope);
  if (root.version != scope.version) return;
  Node* node = &root.node;
  for (size_t i = 0; (i + 1) * size <= tokens.size() && static_cast<int64_t>(i) < max_blocks_; ++i) {
    const auto [at, fresh] = node->children.try_emplace({tokens.begin() + i * size, tokens.begin() + (i + 1) * size});
    if (fresh) {
      at->second = std::make_unique<Node>();
      at->second->parent = node;
      at->second->self = at;
      at->second->block = table.blocks()[i];
      pool_.Share({at->second->block});
      recent_.push_front(at->second.get());
      at->second->recent = recent_.begin();
    }
    node = at->second.get();
  }
  Touch(node);
  while (static_cast<int64_t>(recent_.size()) > max_blocks_) DropOldest();
}

bool PrefixCache::GiveBack(int64_t count) {
  absl::MutexLock lock(&mutex_);
  const int64_t before = pool_.blocks_in_use();
  const size_t held = recent_.size();
  while (!recent_.empty() && before - pool_.blocks_in_use() < count) DropOldest();
  return recent_.size() < held;
}

}  // namespace lastro::engine
