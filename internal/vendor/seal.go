package vendor

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

const (
	keyLength  = 32 // bytes: AES-256
	saltLength = 32 // bytes
	slotLength = 16 // bytes
	// sealVersion is the first byte of a sealed record. One of another version
	// does not open, and so counts as absent.
	sealVersion = 1
)

var errSealed = errors.New("the record does not open")

// identity is whose token it is. The password is the secret; the rest keeps
// records of one account, vendor or user from passing for those of another.
type identity struct{ account, baseURL, username, password string }

// vault seals and opens the records of one identity.
type vault struct {
	// slot names the records of this identity. It follows from the password too:
	// processes with another one, as in the middle of a change of it, share apart.
	slot   string
	master []byte
	about  []byte // sealed with every record, not in it
}

// lazyVault makes a vault when it is first asked for.
type lazyVault struct {
	id         identity
	iterations int

	mu    sync.Mutex
	vault *vault
}

// stretchings lets as many passwords be stretched at once as there are
// processors, so that of many accounts the first can begin while the others wait.
var stretchings = make(chan struct{}, runtime.GOMAXPROCS(0))

// get is the vault, which may have to be made. The error is ctx's where that ends
// before its turn has come.
func (l *lazyVault) get(ctx context.Context) (*vault, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.vault != nil {
		return l.vault, nil
	}
	select {
	case stretchings <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-stretchings }()
	made, err := newVault(l.id, l.iterations)
	l.vault = made
	return made, err
}

// newVault stretches the password, which is slow on purpose.
func newVault(id identity, iterations int) (*vault, error) {
	var about []byte
	for _, part := range []string{id.account, id.baseURL, id.username} {
		about = binary.AppendUvarint(about, uint64(len(part)))
		about = append(about, part...)
	}
	salt := sha256.Sum256(append([]byte("vendstream token share\n"), about...))
	master, err := pbkdf2.Key(sha512.New, id.password, salt[:], iterations, keyLength)
	if err != nil {
		return nil, fmt.Errorf("derive the key of shared tokens: %w", err)
	}
	slot, err := hkdf.Key(sha256.New, master, nil, "slot", slotLength)
	if err != nil {
		return nil, fmt.Errorf("derive the slot of shared tokens: %w", err)
	}
	return &vault{slot: hex.EncodeToString(slot), master: master, about: about}, nil
}

// aead is made for each record from its own salt, so that no key ever seals two of them.
func (v *vault) aead(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, v.master, salt, "record", keyLength)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal makes a record that open opens: version, salt, nonce and ciphertext. No
// two are alike.
func (v *vault) seal(plain []byte) ([]byte, error) {
	sealed := make([]byte, 1+saltLength, 1+saltLength+len(plain)+64)
	sealed[0] = sealVersion
	_, _ = rand.Read(sealed[1:]) // never fails (crypto/rand)
	aead, err := v.aead(sealed[1:])
	if err != nil {
		return nil, fmt.Errorf("seal a shared token: %w", err)
	}
	return aead.Seal(sealed, nil, plain, v.about), nil
}

// open is errSealed for anything that this identity's seal did not make.
func (v *vault) open(sealed []byte) ([]byte, error) {
	if len(sealed) < 1+saltLength || sealed[0] != sealVersion {
		return nil, errSealed
	}
	aead, err := v.aead(sealed[1 : 1+saltLength])
	if err != nil {
		return nil, fmt.Errorf("open a shared token: %w", err)
	}
	plain, err := aead.Open(nil, nil, sealed[1+saltLength:], v.about)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSealed, err)
	}
	return plain, nil
}
