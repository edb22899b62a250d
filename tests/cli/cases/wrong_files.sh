# What is not a model is named as what it is.
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n' >lfs.safetensors
printf '<!DOCTYPE html>\n<html></html>\n' >page.safetensors
printf 'GGUF\3\0\0\0\0\0\0\0' >model.gguf
: >empty.safetensors
mkdir folder two && touch folder/readme two/a.safetensors two/b.safetensors
for f in lfs.safetensors page.safetensors model.gguf empty.safetensors folder two model.ggfu; do
   stlua info $f; echo "exit $?"
done
