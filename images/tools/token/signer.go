package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signer makes tokens that the registry believes.
type signer struct {
	signer   jose.Signer
	keyID    string
	issuer   string
	service  string
	lifetime time.Duration
}

func newSigner(key *ecdsa.PrivateKey, config Config) (*signer, error) {
	// RFC 7638. Not distribution's GetJWKThumbprint: it leaves out leading zeros of a coordinate.
	public := jose.JSONWebKey{Key: key.Public()}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	keyID := base64.RawURLEncoding.EncodeToString(thumbprint)
	signing := jose.SigningKey{
		Algorithm: jose.ES256,
		Key:       jose.JSONWebKey{Key: key, KeyID: keyID},
	}
	with, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	lifetime := time.Duration(config.LifetimeSeconds) * time.Second
	return &signer{with, keyID, config.Issuer, config.Service, lifetime}, nil
}

// sign returns a token for a user, "" for an anonymous request.
func (s *signer) sign(user string, granted []*token.ResourceActions, now time.Time) (string, error) {
	if granted == nil {
		granted = []*token.ResourceActions{} // A list in JSON.
	}
	return jwt.Signed(s.signer).Claims(token.ClaimSet{
		Issuer:     s.issuer,
		Subject:    user,
		Audience:   token.AudienceList{s.service},
		Expiration: now.Add(s.lifetime).Unix(),
		NotBefore:  now.Unix(),
		IssuedAt:   now.Unix(),
		JWTID:      rand.Text(),
		Access:     granted,
	}).Serialize()
}
