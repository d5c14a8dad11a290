package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// TLSVendorOptions say what the vendor of the comparison of HTTP clients is like.
type TLSVendorOptions struct {
	Latency time.Duration // of a purchase
	CA      string        // file for the certificate of the authority that signed its own
}

// tlsVendorStats is what it counts.
type tlsVendorStats struct {
	HTTP1       int64 `json:"http1"` // purchases by HTTP/1.1
	HTTP2       int64 `json:"http2"` // purchases by HTTP/2
	Connections int64 `json:"connections"`
}

// tlsVendor is the vendor as production has it: TLS 1.3, HTTP/1.1 and HTTP/2, by
// net/http's server. The bench's lean vendor has neither.
type tlsVendor struct {
	latency     time.Duration
	byMajor     [3]atomic.Int64 // purchases by the protocol's major version
	connections atomic.Int64
}

// warmLatency is that of /warm, long enough for all connections to be opened.
const warmLatency = 500 * time.Millisecond

func (v *tlsVendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/stats":
		_ = json.NewEncoder(w).Encode(tlsVendorStats{v.byMajor[1].Load(), v.byMajor[2].Load(), v.connections.Load()})
		return
	case "/warm":
		time.Sleep(warmLatency)
	case "/purchase":
		v.byMajor[min(r.ProtoMajor, 2)].Add(1)
		if v.latency > 0 {
			time.Sleep(v.latency)
		}
	default:
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	answer := (&leanVendor{}).answer(make([]byte, 0, 512), "/purchase", body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // nobody to tell
}

// RunTLSVendor runs the vendor until ctx or its parent ends.
func RunTLSVendor(ctx context.Context, o TLSVendorOptions, out io.Writer) error {
	ctx, cancel := untilOrphaned(ctx)
	defer cancel()
	certificate, authority, err := certify()
	if err != nil {
		return fmt.Errorf("bench: the vendor's certificate: %w", err)
	}
	if err := os.WriteFile(o.CA, authority, 0o600); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("bench: the vendor: %w", err)
	}
	v := &tlsVendor{latency: o.Latency}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	server := &http.Server{
		Handler:           v,
		Protocols:         protocols,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // connections that a client cuts off
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				v.connections.Add(1)
			}
		},
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(listener, "", "") }) // ended by Close alone
	defer serving.Wait()
	defer func() { _ = server.Close() }()
	if err := announce(out, "https://"+listener.Addr().String()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// certify makes an authority and a certificate for 127.0.0.1 that it signed. The
// authority's key is forgotten at once.
func certify() (_ tls.Certificate, authority []byte, err error) {
	var none tls.Certificate
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "vendlab bench"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return none, nil, err
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "127.0.0.1"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, own, ca, key.Public(), caKey)
	if err != nil {
		return none, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), nil
}
