#include "httpd/body_spool.h"

#include <algorithm>

#include "httpd/pool_text.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using exchange::BodyPart;

apr_status_t BodySpool::fill() {
  apr_bucket_brigade* brigade = apr_brigade_create(r_->pool, r_->connection->bucket_alloc);
  for (bool ended = false; !ended;) {
    const apr_status_t status = ap_get_brigade(r_->input_filters, brigade, AP_MODE_READBYTES, APR_BLOCK_READ, kInMemory);
    if (status != APR_SUCCESS) return status;
    for (apr_bucket* bucket = APR_BRIGADE_FIRST(brigade); bucket != APR_BRIGADE_SENTINEL(brigade); bucket = APR_BUCKET_NEXT(bucket)) {
      if (APR_BUCKET_IS_EOS(bucket)) {
        ended = true;
        break;
      }
      if (AP_BUCKET_IS_ERROR(bucket)) return AP_FILTER_ERROR;
      if (APR_BUCKET_IS_METADATA(bucket)) continue;
      const char* data = nullptr;
      apr_size_t size = 0;
      apr_status_t done = apr_bucket_read(bucket, &data, &size, APR_BLOCK_READ);
      if (done == APR_SUCCESS) done = take(data, size);
      if (done != APR_SUCCESS) return done;
    }
    apr_brigade_cleanup(brigade);
  }
  apr_off_t start = 0;
  return file_ != nullptr ? apr_file_seek(file_, APR_SET, &start) : APR_SUCCESS;
}

apr_status_t BodySpool::take(const char* data, apr_size_t size) {
  size_ += size;
  if (file_ == nullptr && memory_.size() + size <= kInMemory) {
    memory_.append(data, size);
    return APR_SUCCESS;
  }
  if (file_ == nullptr) {
    if (const apr_status_t status = open_file(); status != APR_SUCCESS) return status;
  }
  return apr_file_write_full(file_, data, size, nullptr);
}

apr_status_t BodySpool::open_file() {
  const char* folder = nullptr;
  apr_status_t status = apr_temp_dir_get(&folder, r_->pool);
  if (status != APR_SUCCESS) return status;
  char* name = joined_in(r_->pool, {folder, "/cxxproxy.body.XXXXXX"});
  status = apr_file_mktemp(&file_, name, APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_EXCL | APR_FOPEN_BINARY, r_->pool);
  if (status != APR_SUCCESS) return status;
  (void)apr_file_remove(name, r_->pool);
  status = apr_file_write_full(file_, memory_.data(), memory_.size(), nullptr);
  memory_ = std::string();
  return status;
}

BodyPart BodySpool::read(std::size_t at_most) {
  if (given_ == size_) return {.kind = BodyPart::Kind::End, .last = true};
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(at_most, size_ - given_));
  if (file_ == nullptr) {
    part_ = {memory_.data() + given_, want};
  } else {
    buffer_.resize(std::max(buffer_.size(), want));
    if (apr_file_read_full(file_, buffer_.data(), want, nullptr) != APR_SUCCESS) {
      return {.kind = BodyPart::Kind::Failed, .error = base::ProxyErrc::Internal};
    }
    part_ = {buffer_.data(), want};
  }
  given_ += want;
  return {.kind = BodyPart::Kind::Data, .parts = {&part_, 1}, .bytes = want, .last = given_ == size_};
}

}  // namespace cxxproxy::httpd
