// Package shim opens the docker provider's constructor, which is internal to its module.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// NewProvider is the upstream provider.
func NewProvider(version string) *schema.Provider { return provider.New(version)() }
