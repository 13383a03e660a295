// Registry is the registry of the benchmarks: in memory, on a free loopback port, with the referrers API, and it keeps
// account of what it was asked.
//
// It prints its address as the first line, and ends when its standard input is closed.
//
//	GET  /-/account                the requests since the last reset, as JSON
//	POST /-/reset                  starts the account anew
//	POST /-/delay?milliseconds=N   answers every later request N ms late; requests that are made at once wait at once
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// account is what clients asked for since the last reset. Bytes are those of bodies.
type account struct {
	mutex    sync.Mutex
	Requests []string `json:"requests"`
	BytesIn  int64    `json:"bytes_in"`
	BytesOut int64    `json:"bytes_out"`
}

func (a *account) reset() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.Requests, a.BytesIn, a.BytesOut = []string{}, 0, 0
}

func (a *account) add(request string, in, out int64) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.Requests = append(a.Requests, request)
	a.BytesIn += in
	a.BytesOut += out
}

func (a *account) json() ([]byte, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return json.Marshal(a)
}

type countingReader struct {
	io.ReadCloser
	count int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.count += int64(n)
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	count int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.count += int64(n)
	return n, err
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	content := listing(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	kept := &account{}
	kept.reset()
	var delay atomic.Int64

	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/account", func(w http.ResponseWriter, _ *http.Request) {
		body, err := kept.json()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(body)
	})
	mux.HandleFunc("POST /-/reset", func(http.ResponseWriter, *http.Request) { kept.reset() })
	mux.HandleFunc("POST /-/delay", func(w http.ResponseWriter, r *http.Request) {
		milliseconds, err := strconv.ParseUint(r.URL.Query().Get("milliseconds"), 10, 16)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		delay.Store(int64(time.Duration(milliseconds) * time.Millisecond))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(delay.Load()))
		in, out := &countingReader{ReadCloser: r.Body}, &countingWriter{ResponseWriter: w}
		r.Body = in
		content.ServeHTTP(out, r)
		if r.Method == http.MethodHead {
			out.count = 0 // net/http drops the body
		}
		kept.add(r.Method+" "+r.URL.RequestURI(), in.count, out.count)
	})

	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal(http.Serve(listener, mux))
}
