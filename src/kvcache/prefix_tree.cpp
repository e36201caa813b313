#include "kvcache/prefix_tree.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tenon::kvcache {

struct PrefixTree::Node {
  explicit Node(std::pmr::memory_resource* memory) : children(memory) {}

  Node* parent = nullptr;
  Page page;
  Children children;
  Children::iterator place{};  ///< in the parent's children
  std::pmr::list<Node*>::iterator use{};
};

namespace {

std::size_t common_prefix(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

void PrefixTree::Destroy::operator()(Node* node) const {
  std::pmr::polymorphic_allocator<>(memory).delete_object(node);
}

std::unique_ptr<PrefixTree::Node, PrefixTree::Destroy> PrefixTree::make_node() {
  return {std::pmr::polymorphic_allocator<>(&memory_).new_object<Node>(&memory_), Destroy{&memory_}};
}

// Keys of the first level begin with the salt, as numbers that no token has.
PrefixTree::Key PrefixTree::key_of(Node* at, Tokens tokens, std::string_view salt) {
  if (at != nullptr) salt = {};
  Key key(&memory_);
  key.reserve(tokens.size() + salt.size());
  for (const char c : salt) key.push_back(-1 - static_cast<unsigned char>(c));
  key.insert(key.end(), tokens.begin(), tokens.end());
  return key;
}

PrefixTree::PrefixTree(PagePool& pool) : pool_(pool), root_(make_node()) {
  pool_.set_cache([this] { evict_one(); });
}

PrefixTree::~PrefixTree() {
  // Leaves first: a long sequence is a deep tree.
  while (!by_use_.empty()) {
    Node* node = by_use_.back();
    while (!node->children.empty()) node = node->children.begin()->second.get();
    remove(node);
  }
  pool_.set_cache({});
}

PrefixTree::Children& PrefixTree::children_of(Node* at) { return at ? at->children : root_->children; }

const Page& PrefixTree::page_of(const Node* node) { return node->page; }

PrefixTree::Node* PrefixTree::find(Node* at, Tokens tokens, std::string_view salt) {
  TENON_CHECK(tokens.size() >= static_cast<std::size_t>(tensor::kPageTokens));
  Children& children = children_of(at);
  const auto found = children.find(key_of(at, tokens.first(tensor::kPageTokens), salt));
  return found == children.end() ? nullptr : found->second.get();
}

std::optional<PrefixTree::Partial> PrefixTree::find_partial(Node* at, Tokens tokens, std::string_view salt) {
  Children& children = children_of(at);
  const Key key = key_of(at, tokens, salt);
  const std::size_t salted = key.size() - tokens.size();
  // In lexicographic order the key with the longest common prefix is a neighbour.
  const auto after = children.lower_bound(key);
  Node* best = nullptr;
  std::size_t most = salted;
  const auto consider = [&](Children::iterator it) {
    if (const std::size_t common = common_prefix(it->first, key); common > most) {
      most = common;
      best = it->second.get();
    }
  };
  if (after != children.end()) consider(after);
  if (after != children.begin()) consider(std::prev(after));
  if (!best) return std::nullopt;
  touch(best);
  return Partial{best->page.share(), static_cast<std::int64_t>(most - salted)};
}

PrefixTree::Node* PrefixTree::insert(Node* at, Tokens tokens, std::string_view salt, PageTable& pages,
                                     std::int64_t index) {
  TENON_CHECK(tokens.size() == static_cast<std::size_t>(tensor::kPageTokens));
  if (Node* found = find(at, tokens, salt)) {
    if (found->page.id() != pages.page(index).id()) pages.replace(index, found->page.share());
    return found;
  }
  return add(at, key_of(at, tokens, salt), pages.page(index).share());
}

void PrefixTree::insert_partial(Node* at, Tokens tokens, std::string_view salt, const Page& page) {
  Children& children = children_of(at);
  Key key = key_of(at, tokens, salt);
  const auto after = children.lower_bound(key);
  if (after != children.end() && common_prefix(after->first, key) == key.size()) return;  // it has these and more
  add(at, std::move(key), page.share());
}

PrefixTree::Node* PrefixTree::add(Node* at, Key key, Page page) {
  Children& children = children_of(at);
  // A partly filled page that this one continues is of no use any more.
  if (const auto after = children.lower_bound(key); after != children.begin()) {
    const auto before = std::prev(after);
    if (before->second->children.empty() && common_prefix(before->first, key) == before->first.size() &&
        pool_.only_cached(before->second->page)) {
      remove(before->second.get());
    }
  }
  auto node = make_node();
  Node* const result = node.get();
  result->parent = at;
  result->page = std::move(page);
  pool_.mark_cached(result->page);
  result->place = children.emplace(std::move(key), std::move(node)).first;
  by_use_.push_front(result);
  result->use = by_use_.begin();
  return result;
}

void PrefixTree::remove(Node* node) {
  pool_.unmark_cached(node->page);
  by_use_.erase(node->use);
  children_of(node->parent).erase(node->place);  // destroys it
}

// Children are used after their parents were, unless touch() said otherwise; so the oldest leaf may lie some way in.
void PrefixTree::evict_one() {
  for (auto it = by_use_.rbegin(); it != by_use_.rend(); ++it) {
    Node* const node = *it;
    if (node->children.empty() && pool_.only_cached(node->page)) return remove(node);
  }
}

void PrefixTree::touch(Node* node) {
  for (; node; node = node->parent) by_use_.splice(by_use_.begin(), by_use_, node->use);
}

}  // namespace tenon::kvcache
