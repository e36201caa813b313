# The folders of src/, floor first.
set(TENON_FOLDERS base tensor kernels weights graph nn model architectures scaffold runtime compiler hub loader kvcache batch
                  scheduler grammar sampler engine tokenizer chat generate server verify cli)
