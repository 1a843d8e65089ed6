#include "engine/prefixes/piece_library.h"

#include <cerrno>
#include <utility>

namespace pyserve {

PieceChain PieceLibrary::find(const Digest& root, TokenSpan tokens) const {
  std::lock_guard lock(mutex_);
  return index_.find(root, tokens);
}

bool PieceLibrary::has(const Digest& name) const {
  std::lock_guard lock(mutex_);
  return index_.has(name);
}

size_t PieceLibrary::n_pieces() const {
  std::lock_guard lock(mutex_);
  return index_.n_pieces();
}

bool PieceLibrary::is_new(const std::string& file) {
  std::lock_guard lock(mutex_);
  return !files_.contains(file);
}

void PieceLibrary::scan() {
  const std::vector<std::string> files = directory_.list();
  for (const std::string& file : files) {
    if (!is_new(file)) continue;
    const std::string path = directory_.folder() + '/' + file;
    PieceFile piece = read_head(path);
    if (piece.fault == FileFault::kNone) {
      const Digest name = name_of(piece.head);
      std::lock_guard lock(mutex_);
      index_.add({name, std::move(piece.head), piece.n_bytes});
      files_.insert(file);
    } else if (piece.fault == FileFault::kForeign || piece.fault == FileFault::kDamaged) {
      directory_.remove_file(file);
    }
  }
  const std::unordered_set<std::string> present(files.begin(), files.end());
  std::lock_guard lock(mutex_);
  for (const Digest& name : index_.names()) {
    const std::string file = file_name(name);
    if (present.contains(file)) continue;
    index_.remove(name);
    files_.erase(file);
  }
}

void PieceLibrary::trim(int64_t n_bytes_more) { n_bytes_ = directory_.trim(n_bytes_more); }

int PieceLibrary::write(const PieceHead& head, const std::vector<uint8_t>& data) {
  const int64_t n_bytes = file_bytes(head, data);
  if (!directory_.has_room(n_bytes)) return ENOSPC;
  if (n_bytes_ + n_bytes > directory_.limits().n_bytes_max) {
    // More than is needed now, so that not every write looks at all files.
    trim(std::max(n_bytes, directory_.limits().n_bytes_max / 16));
  }
  if (const int error = write_piece(directory_.folder(), head, data); error != 0) return error;
  n_bytes_ += n_bytes;
  const Digest name = name_of(head);
  std::vector<Digest> replaced;
  {
    std::lock_guard lock(mutex_);
    index_.add({name, head, n_bytes});
    files_.insert(file_name(name));
    replaced = index_.replaced_by(head);
  }
  for (const Digest& old : replaced) forget(old, true);
  return 0;
}

PieceFile PieceLibrary::read(const Piece& piece) {
  PieceFile file = read_piece(directory_.path_of(piece.name), piece.name);
  if (file.fault != FileFault::kNone) {
    const bool is_bad = file.fault == FileFault::kDamaged || file.fault == FileFault::kForeign;
    forget(piece.name, is_bad);
  }
  return file;
}

void PieceLibrary::forget(const Digest& name, bool deletes) {
  if (deletes) directory_.remove_file(file_name(name));
  std::lock_guard lock(mutex_);
  index_.remove(name);
  files_.erase(file_name(name));
}

}  // namespace pyserve
