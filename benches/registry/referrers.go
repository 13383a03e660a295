package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// listing answers lists of referrers in place of the library, which names the media type of the configuration where the
// specification wants the manifest's artifactType, and reads all manifests for every answer.
//
// Source: distribution-spec 1.1, "Listing Referrers".
func listing(next http.Handler) http.Handler {
	kept := &referrers{lists: map[string]*v1.IndexManifest{}, seen: map[string]bool{}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, digest, isList := strings.Cut(r.URL.Path, "/referrers/")
		switch {
		case r.Method == http.MethodGet && isList:
			kept.answer(w, repository, digest)
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
			repository, _, _ := strings.Cut(r.URL.Path, "/manifests/")
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if subject := kept.learn(repository, r.Header.Get("Content-Type"), body); subject != "" {
				w.Header().Set("OCI-Subject", subject)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// referrers are the lists by repository and subject, in the order in which manifests came.
type referrers struct {
	mutex sync.Mutex
	lists map[string]*v1.IndexManifest
	seen  map[string]bool
}

func (k *referrers) answer(w http.ResponseWriter, repository, digest string) {
	k.mutex.Lock()
	list := k.lists[repository+"@"+digest]
	if list == nil {
		list = emptyList()
	}
	body, err := json.Marshal(list)
	k.mutex.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(types.OCIImageIndex))
	_, _ = w.Write(body)
}

// learn gives the subject of a manifest that has one.
func (k *referrers) learn(repository, contentType string, body []byte) string {
	var manifest struct {
		ArtifactType string `json:"artifactType"`
		Config       struct {
			MediaType string `json:"mediaType"`
		} `json:"config"`
		Subject     *v1.Descriptor    `json:"subject"`
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(body, &manifest) != nil || manifest.Subject == nil {
		return ""
	}
	artifactType := manifest.ArtifactType
	if artifactType == "" {
		artifactType = manifest.Config.MediaType
	}
	subject := manifest.Subject.Digest.String()
	digest := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(body))}
	place := repository + "@" + subject

	k.mutex.Lock()
	defer k.mutex.Unlock()
	if known := place + " " + digest.String(); !k.seen[known] {
		k.seen[known] = true
		if k.lists[place] == nil {
			k.lists[place] = emptyList()
		}
		k.lists[place].Manifests = append(k.lists[place].Manifests, v1.Descriptor{
			MediaType:    types.MediaType(contentType),
			Size:         int64(len(body)),
			Digest:       digest,
			ArtifactType: artifactType,
			Annotations:  manifest.Annotations,
		})
	}
	return subject
}

func emptyList() *v1.IndexManifest {
	return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
}
