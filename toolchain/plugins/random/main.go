// Command random is the Pulumi provider plugin for random values: the upstream Terraform provider
// behind Pulumi's bridge, with the names that the SDK pulumi-random expects.
package main

import (
	"context"

	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	"github.com/terraform-providers/terraform-provider-random/shim"
)

const version = "4.21.4"

func main() {
	pf.Main(context.Background(), "random", providerInfo(), pf.ProviderMetadata{
		PackageSchema: []byte(`{"name":"random"}`),
	})
}

func providerInfo() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:            pf.ShimProvider(shim.NewProvider()),
		Name:         "random",
		Version:      version,
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
	}
	// The types repeat the package's name: random_password is RandomPassword.
	info.MustComputeTokens(tokens.SingleModule("random_", "index",
		func(module, name string) (string, error) {
			return tokens.MakeStandard("random")(module, "Random"+name)
		}))
	return info
}
