#!/usr/bin/env bash
# behaviour: openssl runs the same: keys, certificates, encryption, digests
# source: real program
# programs: openssl
# timeout: 60
set -eu
seq 1 300000 > plain
openssl dgst -sha256 plain
openssl dgst -blake2b512 plain
openssl enc -aes-256-cbc -pbkdf2 -iter 1000 -S 0011223344556677 -k word -in plain -out secret
openssl dgst -sha256 secret
openssl enc -d -aes-256-cbc -pbkdf2 -iter 1000 -S 0011223344556677 -k word -in secret | cmp - plain && echo same
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2> /dev/null
openssl req -x509 -new -key key.pem -subj /CN=example.org -days 10 -out cert.pem
openssl x509 -in cert.pem -noout -subject
openssl verify -CAfile cert.pem cert.pem
openssl dgst -sha256 -sign key.pem -out signature plain
openssl pkey -in key.pem -pubout -out public.pem
openssl dgst -sha256 -verify public.pem -signature signature plain
for i in 1 2 3 4 5; do openssl ecparam -genkey -name prime256v1 -noout | openssl pkey -noout -text | wc -l; done
openssl ciphers -v ALL | wc -l
